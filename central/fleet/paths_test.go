package fleet

import (
	"testing"
	"time"

	"gateagent/central/store"
	"gateagent/gate/wire"
)

// A kiosk on a metered path says that its heartbeat is slow, and is not
// called silent for that; what it may say is bounded.
func TestSlowHeartbeat(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tc := range []struct {
		beat   int
		silent time.Duration
		want   string
	}{{0, 40 * time.Second, stateSilent}, {60, 3 * time.Minute, statePresent}, {60, 4 * time.Minute, stateSilent}, {3600, 3 * time.Hour, statePresent}, {1 << 40, time.Minute, stateSilent}, {-1, time.Minute, stateSilent}} {
		status, err := (&wire.Status{V: wire.StatusVersion, Uplink: wire.UplinkStatus{Heartbeat: tc.beat}}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		l := store.Live{Kiosk: "k", Up: true, Since: now.Add(-24 * time.Hour), Heard: now.Add(-tc.silent), Status: status}
		if got, _ := presence(store.Kiosk{}, l, now); got != tc.want {
			t.Errorf("a heartbeat of %d s, silent for %v: %s, want %s", tc.beat, tc.silent, got, tc.want)
		}
	}
}

func TestPathText(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		u    wire.UplinkStatus
		want string
	}{{wire.UplinkStatus{}, ""}, {wire.UplinkStatus{Path: "fibre"}, "fibre"},
		{wire.UplinkStatus{Path: "public", Budget: 500 << 20, Left: 312 << 20, Until: until}, "public, 312 of 500 MiB left until 2026-04-01"}} {
		if got := (kioskView{Uplink: tc.u}).PathText(); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.u, got, tc.want)
		}
	}
}
