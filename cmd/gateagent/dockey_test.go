package main

import (
	"testing"
	"time"

	"gateagent/config"
	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/internal/clock"
)

// A kiosk whose document key has ended goes on without references, and staff are
// told; a level of records without references needs none.
func TestDocumentKeyOver(t *testing.T) {
	now := time.Now()
	set := &wire.DocKeySet{Issued: now, Keys: []wire.DocKey{wire.NewDocKey(now.Add(-time.Hour), now.Add(time.Hour))}}
	ring, err := wire.OpenDocKeyring(t.TempDir(), &wire.Identity{Name: "k1", DocKeys: set})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		at           time.Time
		level        string
		ref, noticed bool
	}{
		"in force":             {now, wire.LevelFull, true, false},
		"over":                 {now.Add(2 * time.Hour), wire.LevelFull, false, true},
		"over, not written":    {now.Add(2 * time.Hour), wire.LevelBasic, false, false},
		"a clock that is lost": {time.Unix(0, 0), wire.LevelStandard, false, true},
	} {
		b := &builder{c: &config.Config{}, docKeys: ring,
			clock: &clock.Clock{Source: clock.Assume, Wall: func() time.Time { return tc.at }}}
		b.c.Record.Level = tc.level
		if ref := b.docRef()(gate.Document{Issuer: "VNM", Type: "ID", MatchNumber: "1"}); (ref != "") != tc.ref {
			t.Errorf("%s: reference %q", name, ref)
		}
		noticed := false
		b.docKeyNotices(tc.at, func(level, source, _ string) { noticed = level == "warning" && source == "document key" })
		if noticed != tc.noticed {
			t.Errorf("%s: noticed %v, want %v", name, noticed, tc.noticed)
		}
	}
}
