package uplink_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"gateagent/gate/wire"
)

// command publishes what central would, or somebody who has the broker.
func (c *fakeCentral) command(retained bool, cmd *wire.Command) {
	c.t.Helper()
	data, err := cmd.Encode()
	if err != nil {
		c.t.Fatal(err)
	}
	if tok := c.client.Publish(wire.Topic(kiosk, wire.TopicCommand), 1, retained, data); !tok.WaitTimeout(patience) || tok.Error() != nil {
		c.t.Fatal(tok.Error())
	}
}

// A command reaches the kiosk under central's signature alone; a forged one, one
// for others and one that the broker kept do not, and results go on.
func TestCommands(t *testing.T) {
	t.Parallel()
	_, c, k := scene(t)
	var mu sync.Mutex
	var taken []time.Time
	k.cfg.Command = func(cmd *wire.Command) error {
		mu.Lock()
		defer mu.Unlock()
		taken = append(taken, cmd.Issued)
		return nil
	}
	have := func() []time.Time {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(taken)
	}
	at := func(n int) time.Time { return time.Date(2026, 11, 22, 8, 0, n, 0, time.UTC) }
	order := func(n int, name, kind string) *wire.Command {
		cmd := &wire.Command{V: wire.CommandVersion, Kiosk: name, Kind: kind, Issued: at(n), Sealed: []byte("sealed")}
		if err := cmd.Sign(c.p.ackKey); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	c.command(true, order(1, kiosk, wire.CommandDocKeys)) // before it connects: retained
	k.run()
	eventually(t, "the uplink is up", k.up.Up)
	forged := order(2, kiosk, wire.CommandDocKeys)
	if err := forged.Sign(c.p.signing); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []*wire.Command{forged, order(3, "sgn-g13", wire.CommandDocKeys), order(4, kiosk, "of another time"), order(5, kiosk, wire.CommandDocKeys)} {
		c.command(false, cmd)
	}
	eventually(t, "central's command is taken", func() bool { return len(have()) > 0 })
	if got := have(); len(got) != 1 || !got[0].Equal(at(5)) {
		t.Errorf("taken: %v", got)
	}
	if !k.hasNotice("uplink alarm", "fault") {
		t.Error("nobody is told of the forged command")
	}
	k.decide(3)
	eventually(t, "results arrive", func() bool { return c.count() == 3 })
}
