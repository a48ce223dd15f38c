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

func scanSamples(t testing.TB) (batches []*Batch, records [][]byte) {
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
	var entries []Entry
	chain := ChainStart()
	for i, r := range []Record{decision, refused, passage, resolution, help, unproven} {
		body, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, body)
		e := Entry{Number: uint64(i + 1), Prev: chain, Hash: BodyHash(body), Body: body}
		if chain, err = ChainNext("k1", scanEpoch, e.Number, chain, e.Hash); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	one := &Batch{V: BatchVersion, Kiosk: "k1", Epoch: scanEpoch, First: 1, Last: 6, PrevChain: ChainStart(), Chain: chain, Entries: entries, Sig: []byte("sig")}
	expired := *one
	expired.Entries = append([]Entry(nil), entries...)
	expired.Entries[2].Body = nil
	expired.Entries[3].Body = []byte{}
	bare := &Batch{V: BatchVersion, Kiosk: "k1", Epoch: scanEpoch, Entries: []Entry{}}
	return []*Batch{one, &expired, bare}, records
}

// What is written is what encoding/json writes, byte for byte, and is read
// again without it.
func TestScanReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	batches, records := scanSamples(t)
	for i, b := range batches {
		got, err := b.Encode()
		want, _ := json.Marshal(b)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("batch %d is written %s, %v; encoding/json writes %s", i, got, err, want)
		}
		read, ok := scanBatch(got)
		if !ok || !reflect.DeepEqual(read, b) {
			t.Errorf("batch %d is read %+v, %v", i, read, ok)
		}
	}
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
	for _, bad := range []*Batch{{Kiosk: "a\"b", Epoch: scanEpoch}, {Kiosk: "k1", Epoch: "<"}, {V: -1, Kiosk: "k1", Epoch: scanEpoch}} {
		got, err := bad.Encode()
		if want, _ := json.Marshal(bad); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s, %v; encoding/json writes %s", got, err, want)
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
	if b, ok := scanBatch(data); ok {
		want := new(Batch)
		if err := json.Unmarshal(data, want); err != nil || !reflect.DeepEqual(b, want) {
			t.Fatalf("%q is read as %+v; encoding/json: %+v, %v", data, b, want, err)
		}
	}
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
	batches, records := scanSamples(t)
	samples := records
	for _, b := range batches {
		data, err := b.Encode()
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, data)
	}
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
	batches, records := scanSamples(f)
	for _, r := range records {
		f.Add(r)
	}
	for _, b := range batches {
		data, err := b.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(holdScan)
}

// BenchmarkBatch is one batch written and read again, and its records.
func BenchmarkBatch(b *testing.B) {
	batches, records := scanSamples(b)
	b.Run("batch", func(b *testing.B) {
		for b.Loop() {
			data, err := batches[0].Encode()
			if err != nil {
				b.Fatal(err)
			}
			if _, err := DecodeBatch(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("outline", func(b *testing.B) {
		for b.Loop() {
			if _, err := DecodeOutline(records[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
