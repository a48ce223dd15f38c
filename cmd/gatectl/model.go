package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gateagent/match/face/pack"
	"gateagent/match/face/recipe"
)

const modelImportHelp = `Make a face model pack from the files that their publishers give away.

--from names files, folders (searched for the files, a few levels deep) or
npm's .tgz archives; it may be given several times. Every file is checked
against its publisher's hash. The same files give the same pack to the byte,
so that its hash can be compared between machines and pinned.

  recommended  YuNet detector, Intel face-reidentification-retail-0095 (its
               OpenVINO original is turned into ONNX), two MiniFASNet models
  demo         what the npm package @vladmandic/face-api 1.7.15 ships; for
               demonstrations only

A new pack has no calibration: it scores and admits nobody until gatectl face
calibrate has measured it.`

// maxSource bounds a file of a publisher.
const maxSource = 64 << 20

// modelCommand is `gatectl model`.
func modelCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "model", Short: "Make and look at face model packs"}
	cmd.AddCommand(modelImportCommand(), modelShowCommand())
	return cmd
}

func modelImportCommand() *cobra.Command {
	var from []string
	var out, kind string
	cmd := &cobra.Command{
		Use:   "import --from PATH... --out DIR [--kind recommended|demo]",
		Short: "Make a face model pack from its publishers' files",
		Long:  modelImportHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			return importModel(append(from, args...), out, pack.Kind(kind), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringArrayVar(&from, "from", nil, "file, folder or .tgz; may be repeated")
	cmd.Flags().StringVar(&out, "out", "", "folder of the pack; a pack that is there is replaced as a whole")
	cmd.Flags().StringVar(&kind, "kind", string(pack.Recommended), "recommended or demo")
	return cmd
}

func importModel(from []string, out string, kind pack.Kind, stdout io.Writer) error {
	if len(from) == 0 || out == "" {
		return errors.New("--from and --out are needed; see gatectl model import --help")
	}
	r, err := recipe.For(kind)
	if err != nil {
		return fmt.Errorf("--kind: %w", err)
	}
	src, err := gather(from, r.Names())
	if err != nil {
		return err
	}
	m, models, err := r.Make(src)
	if err != nil {
		return err
	}
	if err := pack.Write(out, m, models); err != nil {
		return err
	}
	p, err := pack.Open(out, pack.Options{})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %s (%s)\npack.json %s\n", out, p.Title(), p.Kind, p.Hash())
	return nil
}

func modelShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show DIR",
		Short: "Check a face model pack and say what it is",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := pack.Open(args[0], pack.Options{})
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			fmt.Fprintf(w, "%s (%s)\norigin   %s\nlicence  %s\n", p.Title(), p.Kind, p.Origin, p.Licence)
			if p.Warning != "" {
				fmt.Fprintf(w, "warning  %s\n", p.Warning)
			}
			fmt.Fprintf(w, "%s  %s\n", p.Hash(), pack.ManifestFile)
			for _, role := range p.Roles() {
				f := p.Files[role]
				fmt.Fprintf(w, "%s  %s (%s, from %s)\n", f.SHA256, f.Name, role, f.Origin)
			}
			return nil
		},
	}
}

// gather reads the wanted files out of what --from names. What is not found
// is left to the recipe to complain about.
func gather(from, wanted []string) (map[string][]byte, error) {
	g := gatherer{wanted: wanted, found: map[string][]byte{}}
	for _, p := range from {
		info, err := os.Stat(p)
		switch {
		case err != nil:
			return nil, err
		case info.IsDir():
			err = filepath.WalkDir(p, func(name string, e fs.DirEntry, err error) error { return g.walk(p, name, e, err) })
		default:
			err = g.file(p)
		}
		if err != nil {
			return nil, fmt.Errorf("--from %s: %w", p, err)
		}
	}
	return g.found, nil
}

type gatherer struct {
	wanted []string
	found  map[string][]byte
}

// maxDepth is how many folders down a file may lie.
const maxDepth = 4

func (g *gatherer) walk(root, name string, e fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return err
	}
	if e.IsDir() && strings.Count(rel, string(filepath.Separator)) >= maxDepth {
		return fs.SkipDir
	}
	if e.Type().IsRegular() && slices.Contains(g.wanted, e.Name()) {
		return g.file(name)
	}
	return nil
}

func (g *gatherer) file(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if strings.HasSuffix(name, ".tgz") || strings.HasSuffix(name, ".tar.gz") {
		return g.archive(f)
	}
	return g.read(filepath.Base(name), f)
}

func (g *gatherer) archive(r io.Reader) error {
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	for archive := tar.NewReader(unzipped); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeReg && slices.Contains(g.wanted, path.Base(h.Name)) {
			if err := g.read(path.Base(h.Name), archive); err != nil {
				return err
			}
		}
	}
}

func (g *gatherer) read(name string, r io.Reader) error {
	raw, err := io.ReadAll(io.LimitReader(r, maxSource+1))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(raw) > maxSource {
		return fmt.Errorf("%s has more than %d bytes", name, maxSource)
	}
	g.found[name] = raw
	return nil
}
