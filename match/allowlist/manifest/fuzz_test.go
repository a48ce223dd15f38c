package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/match/allowlist"
)

// judged wants of every row that it can be judged by the builder: a window, a
// gate, one flight and one kind of match key.
type judged struct{ t *testing.T }

func (j judged) Add(row allowlist.Row, at int64) error {
	d := row.Document
	byNumber, byName := d.Number != "" && d.Issuer != "", d.Name != "" && d.Birth != "" && d.Flight != ""
	if byNumber == byName || !row.Until.After(row.From) || len(row.Gates) != 1 || len(row.Flights) != 1 || row.Answer != allowlist.Allow {
		j.t.Errorf("row at %d cannot be judged", at)
	}
	return nil
}

func (j judged) Reject(at int64, field, reason string) {
	if _, number := Place(at); number == 0 || field == "" || reason == "" {
		j.t.Errorf("rejected at %d: %q %q", at, field, reason)
	}
}

func seeds(f *testing.F, pattern string) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(raw))
	}
}

func fuzz(t *testing.T, text string, format Format) {
	r := NewReader(testOptions(), judged{t})
	err := r.Read(t.Context(), "input", strings.NewReader(text), format, nil)
	if err == nil {
		err = r.Finish(t.Context())
	}
	if err != nil && strings.TrimSpace(err.Error()) == "" {
		t.Error("an error without words")
	}
}

// Telegrams come to an end without a panic, whatever they hold.
func FuzzTelegrams(f *testing.F) {
	seeds(f, "testdata/pnl_*/*.txt")
	f.Add(pnl("PART1", "ENDPNL") + adl("281000", "PART1", "DEL\n1NGUYEN/ANMR\n", "ENDADL"))
	f.Fuzz(func(t *testing.T, text string) { fuzz(t, text, Telegrams) })
}

// Interchanges do, too.
func FuzzPAXLST(f *testing.F) {
	seeds(f, "testdata/paxlst_*/[1-9l]*")
	f.Add(pax("CNT+42:1'UNT+10+1'UNZ+1+9'"))
	f.Fuzz(func(t *testing.T, text string) { fuzz(t, text, PAXLST) })
}

// Dates that are taken are days of the calendar, births none of the future.
func FuzzDates(f *testing.F) {
	for _, s := range []string{"15AUG80", "29FEB00", "15AUG1980", "800815", "19800815", "2603011200", "202603011200", "31DEC99"} {
		f.Add(s, "102")
	}
	f.Fuzz(func(t *testing.T, s, format string) {
		now := testOptions().Now
		for _, c := range []century{past, future} {
			day, ok := telegramDate(s, c, now)
			moment, _, okMessage := messageTime(s, format, c, now)
			for _, x := range []struct {
				t  time.Time
				ok bool
			}{{day, ok}, {moment, okMessage}} {
				if x.ok && (x.t.Year() < 1900 || c == past && x.t.After(now)) {
					t.Errorf("%q %q: %v", s, format, x.t)
				}
			}
		}
	})
}
