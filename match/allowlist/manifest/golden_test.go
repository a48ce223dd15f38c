package manifest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/match/allowlist"
)

var update = flag.Bool("update", false, "write testdata/*/want anew")

var vietnam = time.FixedZone("+07", 7*3600)

func testOptions() Options {
	return Options{
		Now: time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC), Zone: vietnam, Gates: []string{"HAN-G1"},
		Opens: 6 * time.Hour, Closes: 6 * time.Hour,
	}
}

// TestGolden reads every folder of testdata as the inputs of one list and
// compares what the real builder takes and what it and the reader report.
func TestGolden(t *testing.T) {
	dirs, err := filepath.Glob("testdata/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, dir := range dirs {
		if strings.HasSuffix(dir, "fuzz") {
			continue
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(dir, "[1-9l]*"))
			if err != nil || len(files) == 0 {
				t.Fatalf("no inputs: %v", err)
			}
			var inputs []string
			for _, f := range files {
				raw, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				inputs = append(inputs, string(raw))
			}
			s := readAll(t, testOptions(), inputs...)
			got := s.text()
			if s.err != nil {
				t.Error(s.err)
			}
			want := filepath.Join(dir, "want")
			if *update {
				if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			expected, err := os.ReadFile(want)
			if err != nil || string(expected) != got {
				t.Errorf("%v; got:\n%s", err, got)
			}
		})
	}
}

// seen is what became of inputs.
type seen struct {
	rows   []string // that the builder took, without the place
	issues []string
	err    error
	sum    allowlist.Summary
	stats  []Stats
}

func (s *seen) text() string {
	rows := slices.Clone(s.rows)
	slices.Sort(rows)
	return strings.Join(rows, "\n") + "\n\n" + strings.Join(s.issues, "\n") + "\n"
}

func (s *seen) says(at int64, what, text string) {
	input, number := Place(at)
	s.issues = append(s.issues, fmt.Sprintf("%d:%d %s: %s", input+1, number, what, text))
}

// watched hands rows on to a builder and remembers those it took.
type watched struct {
	b *allowlist.Builder
	s *seen
}

func (w watched) Add(row allowlist.Row, at int64) error {
	err := w.b.Add(row, at)
	if err == nil {
		d := row.Document
		key := strings.Join([]string{d.Issuer, d.Type, d.Number}, " ")
		if d.Number == "" {
			key = strings.Join([]string{d.Name, d.Birth, d.Flight}, " ")
		}
		w.s.rows = append(w.s.rows, fmt.Sprintf("%s | %s %s | %s to %s", key, strings.Join(row.Flights, ";"), strings.Join(row.Gates, ";"),
			row.From.Format("02 15:04"), row.Until.Format("02 15:04")))
	}
	return err
}

func (w watched) Reject(at int64, field, reason string) { w.b.Reject(at, field, reason) }

// readAll reads inputs into a real builder and builds the list.
func readAll(t testing.TB, opt Options, inputs ...string) *seen {
	t.Helper()
	s := &seen{}
	b := newBuilder(t, s)
	defer b.Close()
	opt.Note = func(at int64, reason string) { s.says(at, "note", reason) }
	r := NewReader(opt, watched{b, s})
	for i, text := range inputs {
		csv := func(in io.Reader, base int64) error {
			c := allowlist.CSVReader{Base: base, Zone: opt.Zone}
			return c.Read(t.Context(), in, b)
		}
		if s.err = r.Read(t.Context(), fmt.Sprint("input ", i+1), strings.NewReader(text), Auto, csv); s.err != nil {
			return s
		}
	}
	s.stats = r.Stats()
	if s.err = r.Finish(t.Context()); s.err == nil {
		s.sum, s.err = b.Finish(context.Background())
	}
	return s
}

func newBuilder(t testing.TB, s *seen) *allowlist.Builder {
	t.Helper()
	dir := t.TempDir()
	if _, err := allowlist.GenerateKeys(filepath.Join(dir, "keys")); err != nil {
		t.Fatal(err)
	}
	key, err := allowlist.ReadSigningKey(filepath.Join(dir, "keys", allowlist.SigningKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	issued := testOptions().Now
	b, err := allowlist.NewBuilder(t.Context(), filepath.Join(dir, "list"), allowlist.BuildConfig{
		Secret: allowlist.NewSecret(1, issued), Key: key, Version: 1, Issued: issued, Expires: issued.Add(72 * time.Hour), Specimens: true,
		Report: func(i allowlist.Issue) {
			if i.Duplicate {
				_, of := Place(i.Of)
				s.says(i.Line, "repeated", fmt.Sprintf("%s: %d", i.Reason, of))
				return
			}
			s.says(i.Line, "rejected", i.Field+" "+i.Reason)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var errSink = errors.New("the disk is full")

// failing is a sink whose disk is full.
type failing struct{}

func (failing) Add(allowlist.Row, int64) error { return errSink }
func (failing) Reject(int64, string, string)   {}
