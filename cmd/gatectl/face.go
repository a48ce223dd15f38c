package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/match/face/engine"
	"gateagent/match/face/eval"
	"gateagent/match/face/pack"
)

// faceCommand is `gatectl face`.
func faceCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "face", Short: "Compare faces, measure and calibrate model packs"}
	cmd.AddCommand(faceVerifyCommand(), faceEvalCommand(), faceCalibrateCommand())
	return cmd
}

// faceFlags say what to run.
type faceFlags struct{ pack, library, labels string }

func (f *faceFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.pack, "pack", "", "folder of the model pack (default: the first of "+strings.Join(packPlaces(), ", ")+")")
	cmd.Flags().StringVar(&f.library, "library", "", "libonnxruntime (default: the first of "+strings.Join(libraryPlaces(), ", ")+")")
}

func (f *faceFlags) addLabels(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.labels, "labels", "", "file with sex and age of the people (default "+eval.LabelsFile+" in DIR, where there is one)")
}

// packPlaces and libraryPlaces are where scripts/setup and an operator put
// them.
func packPlaces() []string {
	return []string{"models/recommended", "models/demo", "/var/lib/gateagent/models/recommended"}
}

func libraryPlaces() []string {
	return []string{"models/onnxruntime/libonnxruntime.so", "/usr/lib/gateagent/libonnxruntime.so", "/usr/local/lib/libonnxruntime.so"}
}

// find gives the given path, or the first place that is there: relative ones
// here, then beside the folder of this program.
func find(given string, places []string, what, flag string) (string, error) {
	if given != "" {
		return given, nil
	}
	roots := []string{""}
	if exe, err := os.Executable(); err == nil {
		roots = append(roots, filepath.Dir(filepath.Dir(exe)))
	}
	for _, place := range places {
		for _, root := range roots {
			path := place
			if !filepath.IsAbs(place) {
				path = filepath.Join(root, place)
			}
			if _, err := os.Stat(path); err == nil {
				return filepath.Abs(path)
			}
		}
	}
	return "", fmt.Errorf("no %s is found: name it with --%s, or run scripts/setup", what, flag)
}

// open opens the pack and n engines on it.
func (f *faceFlags) open(n int) (*pack.Pack, []*engine.Engine, error) {
	dir, err := find(f.pack, packPlaces(), "model pack", "pack")
	if err != nil {
		return nil, nil, err
	}
	library, err := find(f.library, libraryPlaces(), "libonnxruntime", "library")
	if err != nil {
		return nil, nil, err
	}
	p, err := pack.Open(dir, pack.Options{})
	if err != nil {
		return nil, nil, err
	}
	var engines []*engine.Engine
	for range n {
		e, err := engine.Open(p, library)
		if err != nil {
			shut(engines)
			return nil, nil, err
		}
		engines = append(engines, e)
	}
	return p, engines, nil
}

func shut(engines []*engine.Engine) {
	for _, e := range engines {
		e.Close()
	}
}

// verdict is the outcome of `gatectl face verify`.
type verdict struct {
	Match     bool    `json:"match"`
	Score     float64 `json:"score"`
	Threshold float64 `json:"threshold"`
	Pack      string  `json:"pack"`
}

func faceVerifyCommand() *cobra.Command {
	var f faceFlags
	var threshold float64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify A B",
		Short: "Compare the faces in two pictures",
		Long: `Compare the faces in two pictures: score, threshold and whether they match.
The exit code is 0 when they do. Pictures: JPEG, JPEG 2000, PNG, PGM, PPM.

The threshold is the pack's start value unless --threshold is given. This is a
look at two pictures, no decision about a person.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := verifyFaces(f, args, threshold)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if asJSON {
				err = writeJSON(w, v)
			} else {
				_, err = fmt.Fprintf(w, "score %.4f, threshold %.4f (%s)\n", v.Score, v.Threshold, v.Pack)
			}
			if err == nil && !v.Match {
				err = errors.New("the faces do not match")
			}
			return err
		},
	}
	f.add(cmd)
	cmd.Flags().Float64Var(&threshold, "threshold", 0, "least score of a match (default: the pack's)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func verifyFaces(f faceFlags, paths []string, threshold float64) (verdict, error) {
	p, engines, err := f.open(1)
	if err != nil {
		return verdict{}, err
	}
	defer shut(engines)
	var made [2]engine.Template
	for i, path := range paths {
		img, err := eval.Read(path)
		if err != nil {
			return verdict{}, fmt.Errorf("%s: %w", path, err)
		}
		made[i], _, err = engines[0].Acquire(img)
		if err != nil {
			return verdict{}, fmt.Errorf("%s: %w", path, err)
		}
	}
	if threshold == 0 {
		threshold = p.Threshold()
	}
	score := engine.Cosine(made[0], made[1])
	return verdict{Match: score >= threshold, Score: score, Threshold: threshold, Pack: p.Title()}, nil
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

const faceSetHelp = `DIR holds a folder of pictures for each person. Pictures whose name begins with
"portrait" stand for the chip's portrait and are compared with all others;
without any, every picture is compared with every other. --attempts N takes N
pictures, in the order of their names, as one transaction, which goes by the
best of them in quality, as a gate does: no score is looked at for that. A file
labels.csv in DIR, or --labels FILE, with the first line person,sex,age (years)
or person,sex,age-band (30-44) adds rates by group, and says which of them so
few people cannot support.`

// pageFile is where the page goes unless told otherwise.
const pageFile = "face-eval.html"

func faceEvalCommand() *cobra.Command {
	var f faceFlags
	var attempts int
	var asJSON bool
	var page string
	cmd := &cobra.Command{
		Use:   "eval DIR [--pack DIR] [--json]",
		Short: "Measure a model pack on pictures of known people",
		Long: `Measure a model pack on pictures of known people: equal error rate, false
non-match rates at fixed false match rates, with intervals, failures to
acquire, and a page with plots.

` + faceSetHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.measure(cmd, args[0], attempts)
			if err != nil {
				return err
			}
			if page == "" && !asJSON && !cmd.Flags().Changed("page") {
				page = pageFile
			}
			if page != "" {
				if err := writePage(page, r); err != nil {
					return err
				}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), r)
			}
			return printReport(cmd.OutOrStdout(), r, page)
		},
	}
	f.add(cmd)
	f.addLabels(cmd)
	cmd.Flags().IntVar(&attempts, "attempts", 1, "live pictures of a transaction")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, and write no page unless --page is given")
	cmd.Flags().StringVar(&page, "page", "", "HTML file to write (default "+pageFile+" here)")
	return cmd
}

func (f *faceFlags) measure(cmd *cobra.Command, dir string, attempts int) (*eval.Report, error) {
	people, err := eval.ReadSet(dir, f.labels)
	if err != nil {
		return nil, err
	}
	p, engines, err := f.open(min(runtime.GOMAXPROCS(0), len(people)))
	if err != nil {
		return nil, err
	}
	defer shut(engines)
	var with []eval.Acquirer
	for _, e := range engines {
		with = append(with, e)
	}
	return eval.Measure(cmd.Context(), p, people, with, attempts, time.Now())
}

func writePage(path string, r *eval.Report) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(r.Page(out), out.Close())
}

func printReport(w io.Writer, r *eval.Report, page string) error {
	fmt.Fprintf(w, "%s: %d people, %d pictures, %d not acquired, %d genuine and %d impostor trials\n",
		r.Pack, r.People, r.Pictures, r.NotAcquired, r.Genuine, r.Impostor)
	if r.Warning != "" {
		fmt.Fprintf(w, "warning: %s\n", r.Warning)
	}
	note := ""
	if !r.EERSupported {
		note = ", not supported by so few people"
	}
	fmt.Fprintf(w, "EER %s (%s to %s) at %.4f%s\n", eval.Percent(r.EER), eval.Percent(r.EERInterval[0]), eval.Percent(r.EERInterval[1]), r.EERThreshold, note)
	for _, p := range r.Points() {
		fmt.Fprintf(w, "FMR %-7s FNMR %-14s threshold %-14s %s\n", p.FMR, p.FNMR, p.Threshold, p.Interval)
	}
	for _, g := range r.Groups {
		fmt.Fprintf(w, "group %-10s %s\n", g.Label, g.Line())
	}
	_, err := fmt.Fprintf(w, "at the present threshold %.4f: FMR %s, FNMR %s\n", r.At.Threshold, eval.Percent(r.At.FMR), eval.Percent(r.At.FNMR))
	if page != "" && err == nil {
		_, err = fmt.Fprintf(w, "page: %s\n", page)
	}
	return err
}
