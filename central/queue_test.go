package central

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"gateagent/central/store"
)

// Kiosks have their turns one after the other, each kiosk's messages come in
// order and one at a time, and nobody waits to get in.
func TestQueueServesInTurn(t *testing.T) {
	q := newQueue()
	for i := range lineMost {
		if d, ok := q.put(message{kiosk: "busy", payload: []byte{byte(i)}}); len(d) != 0 || !ok {
			t.Fatalf("message %d: %v, dropped of %v", i, ok, d)
		}
	}
	if d, ok := q.put(message{kiosk: "busy"}); len(d) != 0 || ok {
		t.Errorf("past its line: %v, dropped of %v", ok, d)
	}
	q.put(message{kiosk: "calm", payload: []byte{0}})
	var got string
	var held []string // served at this moment
	next := func() {
		m, ok := q.take()
		if !ok {
			got += "- "
			return
		}
		got += fmt.Sprintf("%s%d ", m.kiosk, m.payload[0])
		held = append(held, m.kiosk)
	}
	next()
	next()
	next() // both are served
	for _, k := range held {
		q.done(k)
	}
	next()
	q.done("busy")
	next()
	if want := "busy0 calm0 - busy1 busy2 "; got != want {
		t.Errorf("served %s, want %s", got, want)
	}
}

// Past the bound of all, the last message of whoever has most is dropped.
func TestQueueDropsOfTheLongest(t *testing.T) {
	q := newQueue()
	size := queueBytes / lineMost
	for i := range lineMost - 1 {
		q.put(message{kiosk: "busy", payload: make([]byte, size), at: time.UnixMilli(int64(i))})
	}
	for i := range 3 {
		want := []string{"busy"}
		if i == 0 {
			want = nil
		}
		if d, ok := q.put(message{kiosk: fmt.Sprint("calm", i), payload: make([]byte, size)}); !ok || !slices.Equal(d, want) {
			t.Errorf("message %d: dropped of %v, want %v", i, d, want)
		}
	}
	n := 0
	for {
		m, ok := q.take()
		if !ok {
			break
		}
		if m.kiosk == "busy" {
			if m.at != time.UnixMilli(int64(n)) {
				t.Errorf("message %d is that of %v", n, m.at)
			}
			n++
		}
		q.done(m.kiosk)
	}
	if n != lineMost-3 || q.bytes != 0 || len(q.lines) != 0 {
		t.Errorf("%d messages, %d bytes and %d lines left", n, q.bytes, len(q.lines))
	}
}

// Whoever raises alarms faster than they are stored (a revoked certificate that
// connects again and again) keeps nobody else's out, and all are counted.
func TestAlarmsOfOthersAreKept(t *testing.T) {
	st, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	in := &ingest{store: st, log: slog.New(slog.DiscardHandler), alarms: newAlarms()}
	begin := time.UnixMilli(1_000_000)
	const flood = 3 * alarmsQueued
	for i := range flood {
		in.Alarm(store.Alarm{Kiosk: "evil", Kind: store.AlarmRevoked, First: begin.Add(time.Duration(i) * time.Millisecond), Text: fmt.Sprint(i)})
	}
	in.Alarm(store.Alarm{Kiosk: "victim", Kind: store.AlarmSignature, First: begin, Text: "results refused"})
	for i := range 2 * alarmsQueued { // names of nobody
		in.Alarm(store.Alarm{Kiosk: fmt.Sprint("name", i), Kind: store.AlarmFlood, First: begin, Text: "it floods"})
	}
	if n := len(in.alarms.waiting); n > alarmsQueued+1 {
		t.Errorf("%d rows wait", n)
	}
	in.alarms.mu.Lock()
	for key := range in.alarms.waiting { // these need no test of the disk
		if key.kind == store.AlarmFlood && key.kiosk != "" {
			delete(in.alarms.waiting, key)
		}
	}
	in.alarms.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what waits at the end is stored, too
	if err := in.storeAlarms(ctx); err != nil {
		t.Fatal(err)
	}
	all, err := st.OpenAlarms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]store.Alarm{}
	for _, a := range all {
		got[a.Kiosk+" "+a.Kind] = a
	}
	if a := got["evil revoked"]; a.Count != flood || a.Text != fmt.Sprint(flood-1) || !a.First.Equal(begin) || !a.Last.After(begin) {
		t.Errorf("%+v", a)
	}
	if a := got["victim signature"]; a.Count != 1 {
		t.Errorf("the alarm of another kiosk: %+v", a)
	}
	if a := got[" flood"]; a.Count < alarmsQueued {
		t.Errorf("alarms past the bound: %+v", a)
	}
}
