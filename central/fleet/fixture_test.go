package fleet_test

import (
	"strings"
	"testing"
	"time"

	"gateagent/central/store"
	"gateagent/gate"
	"gateagent/gate/wire"
)

// fill puts a small fleet into the store: one of each state.
func (s *site) fill(t *testing.T) {
	t.Helper()
	now := time.Now()
	for _, k := range []string{"sgn-g11", "sgn-g12", "sgn-g13", "sgn-g14", "sgn-g15", "han-t2-01"} {
		end := now.Add(380 * 24 * time.Hour)
		if k == "sgn-g12" {
			end = now.Add(12 * 24 * time.Hour)
		}
		if err := s.store.AddKiosk(t.Context(), store.Kiosk{Name: k, Request: []byte("{}"), SigningKey: make([]byte, 32), Added: now.Add(-40 * 24 * time.Hour)},
			store.Certificate{Serial: "aa" + k, Kiosk: k, Issued: now, NotAfter: end}, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.store.RevokeKiosk(t.Context(), "han-t2-01", "stolen from the depot", now.Add(-26*time.Hour)); err != nil {
		t.Fatal(err)
	}
	good := wire.ListStatus{Present: true, Generation: 3, Version: 1841, Entries: 212_044, Issued: now.Add(-50 * time.Minute), Expires: now.Add(23 * time.Hour)}
	old := wire.ListStatus{Present: true, Generation: 3, Version: 1790, Issued: now.Add(-27 * time.Hour), Expires: now.Add(-3 * time.Hour)}
	s.live = []store.Live{
		live(t, "sgn-g11", true, now.Add(-9*time.Hour), now.Add(-4*time.Second), wire.Status{Gate: "SGN-G11", Stage: "reading", Version: "1.4.0", Policy: "default", List: good, FaceOff: true}),
		live(t, "sgn-g12", true, now.Add(-3*24*time.Hour), now.Add(-7*time.Second), wire.Status{Gate: "SGN-G12", Stage: "idle", Version: "1.4.0", Policy: "default", List: old, FaceOff: true, QueueDepth: 2, OldestUnacked: now.Add(-time.Second)}),
		live(t, "sgn-g13", true, now.Add(-2*time.Hour), now.Add(-4*time.Minute), wire.Status{Gate: "SGN-G13", Stage: "out_of_order", Version: "1.4.0", Policy: "default", List: good, FaceOff: true, QueueDepth: 31, OldestUnacked: now.Add(-14 * time.Minute),
			Notices: []wire.Notice{{Level: "fault", Source: "reader", Text: "the card reader does not answer: replug it"}, {Level: "info", Source: "barrier", Text: "relay on /dev/gate-relay"}}}),
		live(t, "sgn-g14", false, now.Add(-42*time.Minute), now.Add(-43*time.Minute), wire.Status{Gate: "SGN-G14", Stage: "idle", Version: "1.3.2", Policy: "default", List: good, FaceOff: true}),
	}
	s.results(t, "sgn-g11", 61, 6, 3)
	s.results(t, "sgn-g12", 18, 9, 0)
	s.results(t, "sgn-g14", 4, 1, 1)
}

func live(t *testing.T, kiosk string, up bool, since, heard time.Time, st wire.Status) store.Live {
	t.Helper()
	st.V, st.At = wire.StatusVersion, heard
	data, err := st.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return store.Live{Kiosk: kiosk, Up: up, Since: since, Heard: heard, Session: "s", Status: data}
}

// results stores decisions of one kiosk in batches.
func (s *site) results(t *testing.T, kiosk string, admit, refer, abort int) {
	t.Helper()
	epoch := strings.Repeat("0123456789abcdef", 2)
	codes := []uint32{uint32(gate.CodeListNotFound), uint32(gate.CodeDocumentFailed), uint32(gate.CodeListTooEarly), uint32(gate.CodeListNotFound), uint32(gate.CodeDocumentUndetermined), uint32(gate.CodeNoCard)}
	chain := wire.ChainStart()
	for n := range admit + refer + abort {
		d := &wire.Decision{Outcome: wire.OutcomeAdmit, Policy: "default", Face: "off"}
		switch {
		case n%7 == 2 && refer > 0:
			refer--
			d.Outcome, d.Reasons = wire.OutcomeRefer, []uint32{codes[n%len(codes)]}
		case n%7 == 5 && abort > 0:
			abort--
			d.Outcome, d.Reasons = wire.OutcomeAbort, []uint32{uint32(gate.CodeDocumentAborted)}
		}
		r := wire.Record{V: 1, Kind: wire.KindDecision, Tx: strings.Repeat("0", 24) + hex8(n), Gate: "G", At: time.Now(), Decision: d}
		body, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		e := wire.Entry{Number: uint64(n + 1), Prev: chain, Hash: wire.BodyHash(body), Body: body}
		b, err := wire.NewBatch(kiosk, epoch, chain, []wire.Entry{e})
		if err != nil {
			t.Fatal(err)
		}
		f := store.Facts{Kind: r.Kind, Tx: r.Tx, Outcome: d.Outcome}
		if len(d.Reasons) > 0 {
			f.Reason = d.Reasons[0]
		}
		v, err := s.store.Ingest(t.Context(), []store.Batch{{Batch: b, SigningKey: make([]byte, 32), Facts: []store.Facts{f}, Received: time.Now()}})
		if err != nil || v[0].New != 1 {
			t.Fatal(v, err)
		}
		chain = b.Chain
	}
}

func hex8(n int) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 8)
	for i := range out {
		out[7-i] = digits[n>>(4*i)&15]
	}
	return string(out)
}
