package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"gateagent/match/allowlist"
	"gateagent/match/allowlist/manifest"
)

// inputs are the files that a list is built from.
type inputs struct {
	format   manifest.Format
	stats    []inputSummary
	readers  []io.Reader
	files    []*os.File
	progress *progress
}

// openInputs opens every input before anything is written.
func openInputs(f buildFlags, stdin io.Reader, p *progress) (in *inputs, err error) {
	in = &inputs{progress: p}
	if in.format, err = manifest.ParseFormat(f.format); err != nil {
		return nil, fmt.Errorf("--format: %w", err)
	}
	for i, name := range f.in {
		if slices.Contains(f.in[:i], name) {
			return nil, errors.Join(fmt.Errorf("--in: %s is given twice", name), in.close())
		}
		in.stats = append(in.stats, inputSummary{File: name})
		r := stdin
		if name != "-" {
			file, err := os.Open(name)
			if err != nil {
				return nil, errors.Join(err, in.close())
			}
			in.files = append(in.files, file)
			if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
				p.bytes += uint64(info.Size())
			}
			r = file
		}
		in.readers = append(in.readers, &meter{r: r, progress: p})
	}
	return in, nil
}

// readPlan reads the flight plan, if there is one.
func readPlan(path string) (manifest.Plan, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("--plan: %w", err)
	}
	defer file.Close()
	plan, err := manifest.ReadPlan(file)
	if err != nil {
		return nil, fmt.Errorf("--plan: %s: %w", path, err)
	}
	return plan, nil
}

func (in *inputs) close() error {
	var errs []error
	for _, file := range in.files {
		errs = append(errs, file.Close())
	}
	in.files = nil
	return errors.Join(errs...)
}

// read takes every input into the builder.
func (in *inputs) read(ctx context.Context, r *manifest.Reader, zone *time.Location, b *allowlist.Builder) error {
	for i, reader := range in.readers {
		csv := func(from io.Reader, base int64) error {
			c := allowlist.CSVReader{Zone: zone, Base: base}
			return c.Read(ctx, from, b)
		}
		err := r.Read(ctx, in.stats[i].File, reader, in.format, csv)
		for j, st := range r.Stats() {
			in.stats[j].Stats = st
		}
		if err != nil {
			return err
		}
	}
	return r.Finish(ctx)
}

// meter counts what was read.
type meter struct {
	r        io.Reader
	progress *progress
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	m.progress.read += uint64(n)
	m.progress.show("reading, MiB", m.progress.read>>20, m.progress.bytes>>20)
	return n, err
}

// issueReport writes what happened to rows: to standard error for people, or
// to a CSV file.
type issueReport struct {
	stats  []inputSummary // counted for the summary
	reader *manifest.Reader
	notes  uint64
	stderr *bufio.Writer
	file   *os.File
	csv    *csv.Writer
}

func newIssueReport(f buildFlags, in *inputs, stderr io.Writer) (*issueReport, error) {
	r := &issueReport{stats: in.stats, stderr: bufio.NewWriter(stderr)}
	if f.report == "" {
		return r, nil
	}
	var err error
	if r.file, err = os.Create(f.report); err != nil {
		return nil, fmt.Errorf("--report: %w", err)
	}
	r.csv = csv.NewWriter(r.file)
	return r, r.csv.Write([]string{"file", "line", "kind", "field", "reason"})
}

// unit is what the numbers of an input count.
func (r *issueReport) unit(input int) string {
	if all := r.reader.Stats(); input < len(all) && all[input].Format == manifest.PAXLST {
		return "segment"
	}
	return "line"
}

func (r *issueReport) add(i allowlist.Issue) {
	input, number := manifest.Place(i.Line)
	if !i.Duplicate {
		r.stats[input].Rejected++
		r.write(input, number, "rejected", i.Field, i.Reason)
		return
	}
	r.stats[input].Repeated++
	first, firstNumber := manifest.Place(i.Of)
	reason := fmt.Sprintf("says the same as %s %d", r.unit(first), firstNumber)
	if first != input {
		reason += " of " + r.stats[first].File
	}
	r.write(input, number, "repeated", "", reason)
}

// note takes what is no fault of one row.
func (r *issueReport) note(at int64, reason string) {
	r.notes++
	input, number := manifest.Place(at)
	r.write(input, number, "note", "", reason)
}

func (r *issueReport) write(input int, number int64, kind, field, reason string) {
	if r.csv != nil {
		r.csv.Write([]string{r.stats[input].File, strconv.FormatInt(number, 10), kind, field, reason}) // its error comes out of close
		return
	}
	if field != "" {
		reason = field + " " + reason
	}
	place := strconv.FormatInt(number, 10)
	if unit := r.unit(input); unit != "line" {
		place = " " + unit + " " + place
	}
	fmt.Fprintf(r.stderr, "%s:%s: %s: %s\n", r.stats[input].File, place, kind, reason)
}

func (r *issueReport) close() error {
	if r.csv == nil {
		return r.stderr.Flush()
	}
	r.csv.Flush()
	return errors.Join(r.csv.Error(), r.file.Close())
}

// progress tells people at a terminal, every second, that long work goes on. It
// rewrites one line.
type progress struct {
	w           io.Writer // nil: nobody looks
	last        time.Time
	shown       bool
	read, bytes uint64 // of all inputs; bytes are 0 where a pipe is among them
}

const progressEvery = time.Second

func newProgress(w io.Writer) *progress {
	p := &progress{last: time.Now()}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.w = w
		}
	}
	return p
}

func (p *progress) show(phase string, done, total uint64) {
	if p.w == nil || time.Since(p.last) < progressEvery {
		return
	}
	p.last, p.shown = time.Now(), true
	fmt.Fprintf(p.w, "\r\x1b[K%s: %d", phase, done)
	if total > 0 {
		fmt.Fprintf(p.w, " of %d (%d %%)", total, done*100/total)
	}
}

// end clears the line.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
