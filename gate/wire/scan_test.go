package wire

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

const scanEpoch = "00112233445566778899aabbccddeeff"

func scanSamples(t testing.TB) (records [][]byte) {
	t.Helper()
	at := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	base := Record{V: RecordVersion, Tx: scanEpoch, Gate: "Cổng 12", At: at, SinceBoot: 7, BootID: "b", DeleteAt: at.Add(time.Hour)}
	decision, refused, passage, resolution, help := base, base, base, base, base
	decision.Kind, refused.Kind, passage.Kind, resolution.Kind, help.Kind = KindDecision, KindDecision, KindPassage, KindResolution, KindHelp
	decision.Decision = &Decision{Outcome: OutcomeAdmit, Reasons: []uint32{}, Overall: "passed", Checks: []Check{{ID: "a.b", Result: "passed"}, {ID: "c", Result: "failed", Code: 9}},
		List: List{Answer: "listed", Generation: 1, Version: 2}, PhaseMS: map[string]int64{"a": -1, "b": 2},
		FaceCheck: &FaceCheck{Choice: "use", Verdict: "matched", Score: 0.4312, PAD: -1, Quality: 0.9}}
	refused.Decision = &Decision{Outcome: OutcomeRefer, Reasons: []uint32{6003, 6001}, Policy: "a<b\"c", CloneUnproven: false}
	refused.DeleteAt = time.Time{}
	passage.Passage = &Passage{Result: PassagePassed, Code: 3}
	resolution.Resolution = &Resolution{Operator: "Đỗ", Outcome: "refused", Reason: "x"}
	help.Tx = ""
	unproven := decision
	d := *decision.Decision
	face := *d.FaceCheck
	face.Quality = 1e-9
	d.CloneUnproven, d.FaceCheck = true, &face
	unproven.Decision = &d
	for _, r := range []Record{decision, refused, passage, resolution, help, unproven} {
		body, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, body)
	}
	return records
}

// What this package writes is read without encoding/json, and the same.
func TestScanReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	records := scanSamples(t)
	for i, body := range records {
		r, ok := scanOutline(body)
		quick := i == 0 || i == 2 || i == 4 // the others have escapes or rules of their own
		if quick && !ok {
			t.Errorf("record %d is not read: %s", i, body)
		}
		full, err := DecodeRecord(body)
		if err != nil || ok && !reflect.DeepEqual(r, outline(full)) {
			t.Errorf("record %d: %+v, %v; want %+v", i, r, err, outline(full))
		}
	}
}

// outline is what DecodeOutline gives of a record.
func outline(full *Record) *Record {
	r := &Record{V: full.V, Kind: full.Kind, Tx: full.Tx, DeleteAt: full.DeleteAt}
	if d := full.Decision; d != nil {
		r.Decision = &Decision{Outcome: d.Outcome, Reasons: d.Reasons}
		if len(d.Reasons) == 0 {
			r.Decision.Reasons = nil
		}
	}
	if p := full.Passage; p != nil {
		r.Passage = p
	}
	if p := full.Resolution; p != nil {
		r.Resolution = &Resolution{Outcome: p.Outcome}
	}
	return r
}

// holdScan compares the scanner with encoding/json on any input.
func holdScan(t *testing.T, data []byte) {
	r, ok := scanOutline(data)
	if !ok {
		return
	}
	if err := json.Unmarshal(data, new(map[string]any)); err != nil {
		t.Fatalf("%q is read as %+v and is no JSON: %v", data, r, err)
	}
	full, err := DecodeRecord(data)
	if err == nil && !reflect.DeepEqual(r, outline(full)) {
		t.Fatalf("%q is read as %+v, want %+v", data, r, outline(full))
	}
}

// Altered in any place, the scanner reads what encoding/json reads, or leaves
// it alone.
func TestScanAgainstJSON(t *testing.T) {
	t.Parallel()
	samples := scanSamples(t)
	const alphabet = "{}[]\",:\\0123456789.-eEtfnul =/+AaVKkv\n\r\t\x00\x7f\xc3"
	random := rand.New(rand.NewPCG(1, 2))
	for range 2_000 {
		data := bytes.Clone(samples[random.IntN(len(samples))])
		for range 1 + random.IntN(2) {
			i := random.IntN(len(data))
			switch c := alphabet[random.IntN(len(alphabet))]; random.IntN(3) {
			case 0:
				data[i] = c
			case 1:
				data = append(data[:i], data[i+1:]...)
			default:
				data = append(data[:i], append([]byte{c}, data[i:]...)...)
			}
		}
		holdScan(t, data)
	}
}

// FuzzScan does the same with whatever comes.
func FuzzScan(f *testing.F) {
	for _, r := range scanSamples(f) {
		f.Add(r)
	}
	f.Fuzz(holdScan)
}

// BenchmarkOutline is one record read.
func BenchmarkOutline(b *testing.B) {
	record := scanSamples(b)[0]
	for b.Loop() {
		if _, err := DecodeOutline(record); err != nil {
			b.Fatal(err)
		}
	}
}
