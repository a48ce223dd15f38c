package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// newest is the last result of the longer epoch: two full runs and part of a
// third.
const newest = 2*MaxBatchEntries + 20

// exported makes a file of the results of one epoch and 3 of another.
func exported(t *testing.T, key ed25519.PrivateKey) []string {
	t.Helper()
	var file bytes.Buffer
	x, err := NewExporter(&file, "k1", key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range []struct {
		epoch string
		n     uint64
	}{{sealEpoch, newest}, {"ff0102030405060708090a0b0c0d0e0f", 3}} {
		chain := ChainStart()
		var entries []Entry
		for n := uint64(1); n <= run.n; n++ {
			body := fmt.Appendf(nil, `{"n":%d}`, n)
			e := Entry{Number: n, Prev: chain, Hash: BodyHash(body), Body: body}
			if n%10 == 0 {
				e.Body = nil // its time is over
			}
			entries = append(entries, e)
			if chain, err = ChainNext("k1", run.epoch, n, chain, e.Hash); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Add(run.epoch, entries); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(file.String(), "\n"), "\n")
}

// Whatever is done to an exported file is named, with the number of the
// result; the untouched file has no fault.
func TestAuditExport(t *testing.T) {
	pub, key, _ := ed25519.GenerateKey(nil)
	_, thief, _ := ed25519.GenerateKey(nil)
	lines := exported(t, key)
	at := func(n int) int { return n + (n-1)/MaxBatchEntries } // the line of result n of the first epoch
	edit := func(l string, f func(*ExportLine)) string {
		var x ExportLine
		if err := json.Unmarshal([]byte(l), &x); err != nil {
			t.Fatal(err)
		}
		f(&x)
		b, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		return string(b) + "\n"
	}
	for name, tc := range map[string]struct {
		harm func(l []string) []string
		want []string // parts of the faults; none: there are no faults
	}{
		"untouched":       {func(l []string) []string { return l }, nil},
		"removed":         {func(l []string) []string { return slices.Delete(l, at(60), at(60)+1) }, []string{"result 60: removed"}},
		"several removed": {func(l []string) []string { return slices.Delete(l, at(60), at(64)) }, []string{"results 60 to 63: removed"}},
		"first removed":   {func(l []string) []string { return slices.Delete(l, 1, 3) }, []string{"results 1 to 2: removed"}},
		"last removed":    {func(l []string) []string { return slices.Delete(l, at(newest), at(newest)+1) }, []string{fmt.Sprintf("result %d: removed", newest)}},
		"reordered":       {func(l []string) []string { l[at(70)], l[at(71)] = l[at(71)], l[at(70)]; return l }, []string{"result 70: reordered"}},
		"repeated":        {func(l []string) []string { return slices.Insert(l, at(20), l[at(19)]) }, []string{"result 19: reordered or repeated"}},
		"body altered": {func(l []string) []string {
			l[at(33)] = edit(l[at(33)], func(x *ExportLine) { x.Result.Body = []byte("{}") })
			return l
		}, []string{"result 33: altered"}},
		"body and hash": {func(l []string) []string {
			l[at(33)] = edit(l[at(33)], func(x *ExportLine) { x.Result.Body = []byte("{}"); x.Result.Hash = BodyHash(x.Result.Body) })
			return l
		}, []string{"result 34: altered, or result 33 is"}},
		"newest and hash": {func(l []string) []string {
			l[at(newest)] = edit(l[at(newest)], func(x *ExportLine) { x.Result.Body = []byte("{}"); x.Result.Hash = BodyHash(x.Result.Body) })
			return l
		}, []string{fmt.Sprintf("results up to %d are not those", newest)}},
		"cut":                {func(l []string) []string { return l[:at(newest-10)+2] }, []string{"closing line is missing"}},
		"epoch removed":      {func(l []string) []string { return slices.Delete(l, len(l)-5, len(l)-1) }, []string{"results 1 to 3: removed"}},
		"checkpoint removed": {func(l []string) []string { return slices.Delete(l, MaxBatchEntries+1, MaxBatchEntries+2) }, []string{"checkpoint was removed"}},
		"line broken":        {func(l []string) []string { l[at(5)] = l[at(5)][:40] + "\n"; return l }, []string{"line 6", "result 5: removed"}},
		"forged anew":        {func([]string) []string { return exported(t, thief) }, []string{"signature does not verify"}},
	} {
		t.Run(name, func(t *testing.T) {
			seen := 0
			a, err := AuditExport(strings.NewReader(strings.Join(tc.harm(slices.Clone(lines)), "")), pub, func(string, Entry) error { seen++; return nil })
			if err != nil {
				t.Fatal(err)
			}
			if len(tc.want) == 0 && (len(a.Faults) > 0 || a.Results != newest+3 || a.Expired != newest/10 || seen != newest+3 || a.Checkpoints != 4 || len(a.Epochs) != 2) {
				t.Errorf("%+v", a)
			}
			text := strings.Join(a.Faults, "\n")
			for _, w := range tc.want {
				if !strings.Contains(text, w) {
					t.Errorf("%q is not said in\n%s", w, text)
				}
			}
		})
	}
	for _, bad := range []string{"", "{}\n", "[]\n", lines[1]} {
		if _, err := AuditExport(strings.NewReader(bad), pub, nil); err == nil {
			t.Errorf("%q is taken for an exported file", bad)
		}
	}
}
