package allowlist

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const csvHead = "issuer,type,number,flights,gates,from,until,flags\n"

// readCSV builds from text and gives what was reported.
func readCSV(t *testing.T, text string, zone *time.Location) (Summary, []Issue, error) {
	t.Helper()
	var issues []Issue
	cfg := testConfig(1, 1)
	cfg.Report = func(i Issue) { issues = append(issues, i) }
	b, err := NewBuilder(t.Context(), filepath.Join(t.TempDir(), "list"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r := CSVReader{Zone: zone}
	if err := r.Read(t.Context(), strings.NewReader(text), b); err != nil {
		return Summary{}, issues, err
	}
	sum, err := b.Finish(t.Context())
	return sum, issues, err
}

func TestCSVForms(t *testing.T) {
	const times = ",2026-03-01T12:00:00+07:00,2026-03-02T12:00:00+07:00,allow"
	for name, c := range map[string]struct {
		text              string
		entries, rejected uint64
	}{
		"no row":               {csvHead, 0, 0},
		"no line end":          {csvHead + "FRA,P,A1,VN10,G1" + times, 1, 0},
		"CRLF and empty lines": {strings.ReplaceAll(csvHead+"\nFRA,P,A1,VN10,G1"+times+"\n \n", "\n", "\r\n"), 1, 0},
		"byte order mark":      {"\ufeff" + csvHead + "FRA,P,A1,VN10,G1" + times, 1, 0},
		"columns in any order": {"flags,until,from,gates,flights,number,type,Issuer\nallow,2026-03-02T12:00:00Z,2026-03-01T12:00:00Z,G1,,A1,P,FRA\n", 1, 0},
		"quotes":               {csvHead + `"FRA","P","A1","VN10","G1","2026-03-01T12:00:00Z","2026-03-02T12:00:00Z","allow"`, 1, 0},
		"a doubled quote":      {csvHead + `FRA,P,"A""1",VN10,G1` + times, 0, 1},
		"text behind a quote":  {csvHead + `"FRA"x,P,A1,VN10,G1` + times, 0, 1},
		"a stray quote costs one row": {csvHead + `FRA,P,"A1,VN10,G1` + times + "\n" +
			"FRA,P,A2,VN10,G1" + times + "\n", 1, 1},
		"a long line costs one row": {csvHead + strings.Repeat("x", maxLine+10) + "\nFRA,P,A2,VN10,G1" + times, 1, 1},
		"a long last line":          {csvHead + strings.Repeat("x", 3*maxLine), 0, 1},
		"not UTF-8":                 {csvHead + "FRA,P,A\xff1,VN10,G1" + times, 0, 1},
		"a zero byte":               {csvHead + "FRA,P,A\x001,VN10,G1" + times, 0, 1},
		"too many gates":            {csvHead + "FRA,P,A1,VN10," + strings.Repeat("G1;", 300) + "G2" + times, 0, 1},
		"an absurd year":            {csvHead + "FRA,P,A1,VN10,G1,2026-03-01T12:00:00Z,2200-03-01T12:00:00Z,allow", 0, 1},
		"the 31st of April":         {csvHead + "FRA,P,A1,VN10,G1,2026-03-01T12:00:00Z,2026-04-31T12:00:00Z,allow", 0, 1},
	} {
		sum, issues, err := readCSV(t, c.text, nil)
		if err != nil || sum.Entries != c.entries || sum.Rejected != c.rejected || uint64(len(issues)) != c.rejected {
			t.Errorf("%s: %d entries, %d rejected, %v, %v; want %d and %d", name, sum.Entries, sum.Rejected, issues, err, c.entries, c.rejected)
		}
	}
	for name, text := range map[string]string{
		"empty":          "",
		"no header":      "FRA,P,A1,VN10,G1,2026-03-01T12:00:00Z,2026-03-02T12:00:00Z,allow\n",
		"column twice":   "issuer,type,number,flights,gates,from,until,issuer\n",
		"column missing": "issuer,type\n",
		"no text at all": strings.Repeat("\x7fELF", maxLine),
	} {
		if _, _, err := readCSV(t, text, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCSVTimes(t *testing.T) {
	vietnam := time.FixedZone("+07", 7*3600)
	c := CSVReader{Zone: vietnam}
	for _, x := range []struct {
		text string
		end  bool
		want string
	}{
		{"2026-03-01T12:00:00Z", false, "2026-03-01T12:00:00Z"},
		{"2026-03-01T12:00:00+07:00", false, "2026-03-01T05:00:00Z"},
		{"2026-03-01 12:00", true, "2026-03-01T05:00:00Z"},
		{"2026-03-01T12:00:30", false, "2026-03-01T05:00:30Z"},
		{"2026-03-01", false, "2026-02-28T17:00:00Z"},
		{"2026-02-28", true, "2026-02-28T17:00:00Z"},
		{"2026-12-31", true, "2026-12-31T17:00:00Z"},
	} {
		got, err := c.time("from", x.text, x.end)
		if err != nil || got.UTC().Format(time.RFC3339) != x.want {
			t.Errorf("%s: %v, %v; want %s", x.text, got, err, x.want)
		}
	}
	for _, bad := range []string{"", "2026-02-29", "2026-13-01", "01.03.2026", "2026-03-01 25:00", "1772323200"} {
		if _, err := c.time("from", bad, false); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

// A cache that is full forgets pages and still gives right ones.
func TestSmallCache(t *testing.T) {
	t.Parallel()
	var rows []Row
	for i := range 1500 {
		rows = append(rows, row(vnm(i)))
	}
	table := mustOpen(t, build(t, testConfig(1, 1), rows...), 1)
	table.cache = newPageCache(2)
	for i := range 1500 {
		if found, err := table.Find(vnm(i)); err != nil || len(found) != 1 {
			t.Fatalf("document %d: %v %v", i, found, err)
		}
	}
	if n := len(table.cache.slots); n != 2 || len(table.cache.nos) != 2 {
		t.Errorf("the cache holds %d pages", n)
	}
}

func TestKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	public, err := GenerateKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(dir, SigningKeyFile)
	key, err := ReadSigningKey(private)
	if err != nil || !key.Public().(ed25519.PublicKey).Equal(public) {
		t.Fatalf("signing key: %v", err)
	}
	keys, err := ReadPublicKeys(filepath.Join(dir, PublicKeyFile))
	if err != nil || len(keys) != 1 || !keys[0].Equal(public) {
		t.Fatalf("public key: %v %v", keys, err)
	}
	one, err := os.ReadFile(filepath.Join(dir, PublicKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if two, err := ParsePublicKeys(bytes.Repeat(one, 2)); err != nil || len(two) != 2 {
		t.Errorf("two keys: %v %v", two, err)
	}
	if _, err := GenerateKeys(dir); err == nil {
		t.Error("keys were replaced")
	}
	if _, err := ReadSigningKey(filepath.Join(dir, PublicKeyFile)); err == nil {
		t.Error("a public key served for signing")
	}
	if err := os.Chmod(private, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSigningKey(private); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: %v", err)
	}
	for _, bad := range []string{"", "no PEM", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		if keys, err := ParsePublicKeys([]byte(bad)); err == nil {
			t.Errorf("%q: %v", bad, keys)
		}
	}
}

// Rows may come in no order of time from a caller that is not the CSV reader:
// a row is judged before it counts.
func TestAddRejects(t *testing.T) {
	for name, change := range map[string]func(*Row){
		"no answer":     func(r *Row) { r.Answer = 0 },
		"answer 4":      func(r *Row) { r.Answer = 4 },
		"no gate":       func(r *Row) { r.Gates = nil },
		"empty gate":    func(r *Row) { r.Gates = []string{""} },
		"zero times":    func(r *Row) { r.From, r.Until = time.Time{}, time.Time{} },
		"unknown state": func(r *Row) { r.Document = byNumber("XYZ", "P", "A1") },
		"no document":   func(r *Row) { r.Document = Document{} },
		"joined names":  func(r *Row) { r.Gates = []string{"G1\x02G2"} },
	} {
		cfg := testConfig(1, 1)
		var issues []Issue
		cfg.Report = func(i Issue) { issues = append(issues, i) }
		b, err := NewBuilder(context.Background(), filepath.Join(t.TempDir(), "list"), cfg)
		if err != nil {
			t.Fatal(err)
		}
		r := row(byNumber("FRA", "P", "A1"))
		change(&r)
		var field *FieldError
		if err := b.Add(r, 5); !errors.As(err, &field) || len(issues) != 1 || issues[0].Line != 5 {
			t.Errorf("%s: %v, reported %v", name, err, issues)
		}
		b.Close()
	}
}

// A file whose first line is missing begins with a traveller, who must not
// stand in the error.
func TestHeaderIsNotRepeated(t *testing.T) {
	err := (&CSVReader{}).header("001099000001,VNM,ID")
	if err == nil || strings.Contains(err.Error(), "001099000001") || !strings.Contains(err.Error(), "column 1") {
		t.Errorf("error %v", err)
	}
}
