package house

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	reader "gateagent/drivers/chip"
	"gateagent/drivers/scan"
	"gateagent/drivers/serial"
	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/match/allowlist"
	"gateagent/match/document"
	"gateagent/offline"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
	"gateagent/sim/port"
	"gateagent/web"
)

const lobbyGate = "SGN-G12"

// patience is for a busy machine's disk: a commit that takes too long costs
// the next traveller their scan, which is as it should be and not the point
// here.
const patience = 30 * time.Second

// lobby is one gate inside the test: lane, scanner on a pseudo-terminal, chip
// protocol, judge, list, outbox and pages are the ones that ship, logging at
// the debug level. Only the reader (commands go straight to a virtual chip)
// and the barrier (it opens at once) are replaced.
type lobby struct {
	t       *testing.T
	state   string // the state folder
	log     *slog.Logger
	journal *safeBuffer
	box     *offline.Outbox
	lane    *gate.Lane
	web     *web.Server
	scanner *port.Scanner
	cards   chan gate.CardEvent
	decided chan wire.Record

	mu      sync.Mutex
	field   gate.Card // what lies on the reader
	views   []byte    // all that any page was shown, as JSON
	records []byte    // all that was stored, as JSON
}

// safeBuffer is a log's end.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.b.Bytes())
}

// card is a virtual chip as a connected card. After left commands it is torn
// out and does not come back; 0 means never.
type card struct {
	c    *chip.Chip
	left int
	torn bool
}

func (c *card) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.left--; c.left == 0 {
		c.torn = true
	}
	if c.torn {
		return nil, fmt.Errorf("transmit: %w", gate.ErrCardGone)
	}
	if out := c.c.Process(apdu); out != nil {
		return out, nil
	}
	return nil, gate.ErrCardGone
}

func (c *card) Close() error { c.c.Reset(); return nil }

func (l *lobby) Events() <-chan gate.CardEvent { return l.cards }

func (l *lobby) Connect(context.Context) (gate.Card, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.field, nil
}

func (l *lobby) Open(context.Context, time.Time) (gate.PassageResult, error) {
	return gate.PassagePassed, nil
}

func (l *lobby) Healthy() error { return nil }

func (l *lobby) Show(v gate.View) {
	l.web.Show(v)
	b, err := json.Marshal(v)
	if err != nil {
		l.t.Error(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.views = append(l.views, b...)
}

// Append commits a record as the agent does.
func (l *lobby) Append(ctx context.Context, rec wire.Record) error {
	if err := l.box.Stamp(&rec, rec.At, rec.ClockTrusted); err != nil {
		return err
	}
	if _, err := l.box.Append(ctx, rec); err != nil {
		return err
	}
	b, err := json.Marshal(rec)
	l.mu.Lock()
	l.records = append(l.records, b...)
	l.mu.Unlock()
	if rec.Kind == wire.KindDecision {
		l.decided <- rec
	}
	return err
}

// lobbyTime is when the visits take place.
func lobbyTime() gate.TrustedTime {
	return gate.TrustedTime{Now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), Trusted: true}
}

func ok[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// newLobby opens the gate. listed are the documents on its list.
func newLobby(t *testing.T, w *doc.World, listed ...allowlist.Document) *lobby {
	t.Helper()
	l := &lobby{t: t, state: filepath.Join(t.TempDir(), "state"), journal: &safeBuffer{}, cards: make(chan gate.CardEvent), decided: make(chan wire.Record, 16)}
	all := &slog.HandlerOptions{Level: slog.LevelDebug - 100, AddSource: true}
	l.log = slog.New(slog.NewMultiHandler(slog.NewTextHandler(l.journal, all), slog.NewJSONHandler(l.journal, all)))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	run := func(task func(context.Context) error) {
		running.Go(func() {
			if err := task(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	l.box = ok(offline.Open(ctx, offline.Config{Dir: l.state, Kiosk: "sgn-g12", Log: l.log, Timeout: patience}))(t)
	t.Cleanup(func() { cancel(); running.Wait(); _ = l.box.Close() })
	trust := filepath.Join(t.TempDir(), "trust")
	if err := w.WriteTrust(trust, "VNM", "NLD"); err != nil {
		t.Fatal(err)
	}
	l.web = ok(web.New(web.Config{Listen: "127.0.0.1:0", Log: l.log}))(t)
	l.scanner = ok(port.NewScanner(t.TempDir(), "scanner"))(t)
	t.Cleanup(func() { _ = l.scanner.Close() })
	line := ok(serial.New(serial.Config{Path: l.scanner.Path(), Framing: serial.FrameLine, MaxFrame: 512, Log: l.log}))(t)
	codes := scan.NewSource(line)
	l.lane = ok(gate.NewLane(gate.Parts{
		Gate: lobbyGate, Policy: gate.Policy{Name: "boarding", Face: gate.FaceOff}, Profile: gate.DefaultProfile(),
		Timing: gate.Timing{Card: 5 * time.Second, Scan: 5 * time.Second, Outcome: 20 * time.Millisecond, Store: patience},
		Cards:  l, Scanner: codes, Barrier: l, Recorder: l, Screen: l, Log: l.log, Clock: lobbyTime,
		OpenChip: func(t gate.Transmitter) gate.Chip { return reader.New(t, reader.Options{}) },
		Judge:    document.NewJudge(ok(document.LoadTrust(trust, l.log))(t)),
		List:     l.list(ctx, listed),
		Surroundings: func() gate.Surroundings {
			return gate.Surroundings{Notices: l.box.Notices(), QueueDepth: l.box.Depth()}
		},
	}))(t)
	l.web.SetDesk(l.lane)
	for _, task := range []func(context.Context) error{line.Run, codes.Run, l.web.Run, l.lane.Run} {
		run(task)
	}
	l.cards <- gate.CardEvent{Reader: "virtual", Healthy: true}
	return l
}

// list builds a signed list and has the store take it over.
func (l *lobby) list(ctx context.Context, listed []allowlist.Document) *allowlist.Store {
	now := lobbyTime().Now
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		l.t.Fatal(err)
	}
	incoming := filepath.Join(l.state, "incoming")
	b := ok(allowlist.NewBuilder(ctx, incoming, allowlist.BuildConfig{
		Secret: allowlist.NewSecret(1, now), Key: private, Version: 1, Issued: now.Add(-time.Hour), Expires: now.Add(time.Hour),
	}))(l.t)
	for i, d := range listed {
		if err := b.Add(allowlist.Row{
			Document: d, Set: allowlist.Set{Flights: []string{"VN123"}, Gates: []string{lobbyGate}},
			From: now.Add(-time.Hour), Until: now.Add(time.Hour), Answer: allowlist.Allow,
		}, int64(i+1)); err != nil {
			l.t.Fatal(err)
		}
	}
	ok(b.Finish(ctx))(l.t)
	if err := b.Close(); err != nil {
		l.t.Fatal(err)
	}
	s := ok(allowlist.OpenStore(filepath.Join(l.state, "list"), allowlist.Options{Keys: []ed25519.PublicKey{public}, Log: l.log}))(l.t)
	l.t.Cleanup(func() { _ = s.Close() })
	if err := s.Load(ctx, incoming, lobbyTime()); err != nil {
		l.t.Fatal(err)
	}
	return s
}

// visit has a traveller scan something and lay a card on the reader, and
// gives what was decided.
func (l *lobby) visit(present func(), c *card) wire.Record {
	l.t.Helper()
	present()
	if c != nil {
		l.mu.Lock()
		l.field = c
		l.mu.Unlock()
		l.cards <- gate.CardEvent{Reader: "virtual", Present: true, Healthy: true}
		defer func() { l.cards <- gate.CardEvent{Reader: "virtual", Healthy: true} }()
	}
	return l.decision()
}

func (l *lobby) decision() wire.Record {
	l.t.Helper()
	select {
	case rec := <-l.decided:
		return rec
	case <-time.After(2 * patience):
		l.t.Fatal("nothing was decided")
		return wire.Record{}
	}
}

// scans sends a line from the scanner.
func (l *lobby) scans(text string) func() {
	return func() {
		if err := l.scanner.Scan(text); err != nil {
			l.t.Fatal(err)
		}
	}
}

// keys enters something as a card access number on the traveller's page.
func (l *lobby) keys(can string, status int) func() {
	return func() {
		base := "http://" + l.web.Addr()
		req := ok(http.NewRequestWithContext(l.t.Context(), http.MethodPost, base+"/can", strings.NewReader(can)))(l.t)
		req.Header.Set("Origin", base)
		resp := ok(http.DefaultClient.Do(req))(l.t)
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			l.t.Errorf("keyed in: %s", resp.Status)
		}
	}
}
