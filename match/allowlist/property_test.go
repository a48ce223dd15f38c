package allowlist

import (
	"context"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// seen is what the model and the table say about one entry.
type seen struct {
	From, Until int64
	Answer      Answer
	Priority    bool
	Set         Set
}

func sortSeen(s []seen) []seen {
	slices.SortFunc(s, func(a, b seen) int {
		switch {
		case a.From != b.From:
			return int(a.From - b.From)
		case a.Until != b.Until:
			return int(a.Until - b.Until)
		case a.Answer != b.Answer:
			return int(a.Answer) - int(b.Answer)
		case a.Priority != b.Priority:
			if b.Priority {
				return -1
			}
			return 1
		}
		return slices.Compare(append(slices.Clone(a.Set.Flights), a.Set.Gates...), append(slices.Clone(b.Set.Flights), b.Set.Gates...))
	})
	return s
}

func drawDocument(t *rapid.T) Document {
	if rapid.Bool().Draw(t, "vietnamese") {
		return vnm(rapid.IntRange(0, 60).Draw(t, "number"))
	}
	return Document{
		Issuer: rapid.SampledFrom([]string{"D", "FRA", "UTO", "VNM"}).Draw(t, "issuer"),
		Type:   rapid.SampledFrom([]string{"P", "PO"}).Draw(t, "type"),
		Number: rapid.StringMatching(`[A-C0-2]{1,3}`).Draw(t, "number"),
	}
}

func drawRow(t *rapid.T) Row {
	from := testIssued.Add(time.Duration(rapid.IntRange(-3, 3).Draw(t, "from")) * time.Hour)
	return Row{
		Document: drawDocument(t),
		Set: Set{
			Flights: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"VN100", "VN200", "QH300"}), 0, 2, rapid.ID[string]).Draw(t, "flights"),
			Gates:   rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"G1", "G2", AnyGate}), 1, 2, rapid.ID[string]).Draw(t, "gates"),
		},
		From: from, Until: from.Add(time.Duration(rapid.IntRange(4, 8).Draw(t, "hours")) * time.Hour),
		Answer:   Answer(rapid.IntRange(1, 3).Draw(t, "answer")),
		Priority: rapid.Bool().Draw(t, "priority"),
	}
}

// The table says exactly what a map says, however small the memory for
// sorting, and the same rows give the same bytes.
func TestAgainstAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		rows := rapid.SliceOfN(rapid.Custom(drawRow), 0, 300).Draw(r, "rows")
		model := map[Document][]seen{}
		duplicates := uint64(0)
		for _, row := range rows {
			s := seen{row.From.Unix(), row.Until.Unix(), row.Answer, row.Priority, Set{slices.Clone(row.Flights), slices.Clone(row.Gates)}}
			slices.Sort(s.Set.Flights)
			slices.Sort(s.Set.Gates)
			if slices.ContainsFunc(model[row.Document], func(o seen) bool {
				return o.From == s.From && o.Until == s.Until && o.Answer == s.Answer && o.Priority == s.Priority &&
					slices.Equal(o.Set.Flights, s.Set.Flights) && slices.Equal(o.Set.Gates, s.Set.Gates)
			}) {
				duplicates++
				continue
			}
			model[row.Document] = append(model[row.Document], s)
		}
		cfg := testConfig(1, 1)
		cfg.Memory = 1 // as many runs as possible
		dir, sum := buildSum(t, cfg, rows...)
		if sum.Duplicates != duplicates || sum.Rows != uint64(len(rows)) {
			r.Fatalf("%d duplicates of %d rows, want %d of %d", sum.Duplicates, sum.Rows, duplicates, len(rows))
		}
		table, err := Open(dir, []ed25519.PublicKey{testPublic}, testSecret(1))
		if err != nil {
			r.Fatal(err)
		}
		defer table.Close()
		if err := table.Verify(context.Background()); err != nil {
			r.Fatal(err)
		}
		for d, want := range model {
			checkDocument(r, table, d, want)
		}
		for range 20 {
			d := drawDocument(r)
			checkDocument(r, table, d, model[d])
		}
		cfg = testConfig(1, 1)
		other, _ := buildSum(t, cfg, rows...)
		for _, name := range []string{TableFile, StatementFile, SecretFile} {
			if a, b := mustRead(r, filepath.Join(dir, name)), mustRead(r, filepath.Join(other, name)); a != b {
				r.Fatalf("%s differs between two builds of the same rows", name)
			}
		}
	})
}

func checkDocument(r *rapid.T, table *Table, d Document, want []seen) {
	entries, err := table.Find(d)
	if err != nil {
		r.Fatal(err)
	}
	var got []seen
	for _, e := range entries {
		got = append(got, seen{e.From.Unix(), e.Until.Unix(), e.Answer, e.Priority, Set{append([]string{}, e.Flights...), append([]string{}, e.Gates...)}})
	}
	want = slices.Clone(want)
	for i := range want {
		want[i].Set = Set{append([]string{}, want[i].Set.Flights...), append([]string{}, want[i].Set.Gates...)}
	}
	if !reflect.DeepEqual(sortSeen(got), sortSeen(want)) {
		r.Fatalf("table says %+v, map says %+v", got, want)
	}
}

func mustRead(r *rapid.T, path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		r.Fatal(err)
	}
	return string(b)
}
