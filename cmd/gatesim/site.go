package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"gateagent/gate"
	"gateagent/sim/doc"
	"gateagent/sim/kiosk"
	"gateagent/sim/port"
	"gateagent/sim/vpcd"
)

// Names and spans of the demo.
const (
	gateName     = "SGN-G12"
	kioskName    = "sgn-g12"
	operatorName = "Demo Officer"
	listAge      = 6 * time.Hour // a window that is over must have begun under this list
	listValid    = 48 * time.Hour

	readyWithin = 30 * time.Second // for each program to be ready
	guestCount  = 12
)

// site is a whole gate: every program, every device and who operates them.
type site struct {
	o      options
	dir    string
	marker *os.File

	world   *doc.World
	cast    []*traveller
	guests  []*traveller
	daemon  *vpcd.Daemon
	codes   *port.Scanner // reads codes
	zones   *port.Scanner // reads machine readable zones
	relay   *port.Relay
	models  *models  // nil where no face is compared
	studio  *studio  // nil where no face is compared
	browser *browser // the kiosk's screen; nil without a studio
	repo    *kiosk.Repository
	central *kiosk.Program
	agent   *kiosk.Program
	pages   *pages
	fleet   *fleet

	broker, fleetAddr, pageAddr, updates string

	password string // of the fleet page
	pin      string
	now      view   // newest of the staff page
	previous string // transaction before this one
	filmed   bool   // the camera went on in this visit
	asks     bool   // the kiosk asks for a turn of the head
	revoked  int    // revocations that were published
	unfollow context.CancelFunc
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) program(name string) string { return filepath.Join(s.o.bin, name) }

// openSite starts everything; close it also after an error.
func openSite(ctx context.Context, o options) (*site, error) {
	s := &site{o: o, world: doc.NewWorld(1)}
	for _, name := range []string{"gateagent", "gatecentral", "gatectl"} {
		if _, err := os.Stat(s.program(name)); err != nil {
			return s, fmt.Errorf("%w: build it with `make build`, or name the programs' folder with --bin", err)
		}
	}
	var err error
	if o.faces {
		if s.models, err = findModels(o); err != nil {
			return s, err
		}
	}
	if s.dir, s.marker, err = openFolder(o.state); err != nil {
		return s, err
	}
	if err := s.addresses(); err != nil {
		return s, err
	}
	g, gctx := errgroup.WithContext(ctx)
	// The daemon lives as long as ctx, not as long as this group.
	g.Go(func() (err error) { s.daemon, err = vpcd.StartDaemon(ctx, s.path("pcscd"), nil); return err })
	g.Go(func() error { return s.keeper(gctx) })
	g.Go(func() error { return s.documents(gctx) })
	if err := g.Wait(); err != nil {
		return s, err
	}
	for _, step := range []func(context.Context) error{s.list, s.publish, s.enrol, s.devices, s.startAgent, s.openScreen} {
		if err := step(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

// addresses finds free ports below those that the system gives to outgoing
// connections, so that central finds its own again after a restart.
func (s *site) addresses() error {
	for _, to := range []*string{&s.broker, &s.fleetAddr, &s.pageAddr, &s.updates} {
		for try := 0; ; try++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+mrand.IntN(12000)))
			if err == nil {
				defer l.Close() // held until all are found, so that they differ
				*to = l.Addr().String()
				break
			}
			if try == 50 {
				return fmt.Errorf("no free loopback port: %w", err)
			}
		}
	}
	return nil
}

// documents makes the cast and the trust folder.
func (s *site) documents(ctx context.Context) (err error) {
	if s.o.faces {
		if err := s.faces(ctx); err != nil {
			return err
		}
		return s.world.WriteTrust(s.path("trust"), states()...)
	}
	if s.cast, err = fixedCast(s.world); err != nil {
		return err
	}
	if !s.o.once {
		if s.guests, err = guests(s.world, guestCount); err != nil {
			return err
		}
	}
	return s.world.WriteTrust(s.path("trust"), states()...)
}

// startCentral starts central and waits until it is ready.
func (s *site) startCentral(ctx context.Context) (err error) {
	args := []string{s.program("gatecentral"), "run", "--state", s.path("central"), "--mqtt", s.broker, "--http", s.fleetAddr}
	s.central, err = kiosk.Start(kiosk.Command{Name: "gatecentral", LogFile: s.path("central.log"),
		Args: append(args, s.repo.Keep(s.updates)...)})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if _, err := s.central.AwaitLine(ctx, "ready"); err != nil {
		return err
	}
	for _, line := range s.central.Lines("password ") {
		_, word, _ := strings.Cut(line, "password ")
		s.password = strings.TrimSpace(word)
	}
	s.fleet, err = newFleet(s.fleetAddr, s.path("central"))
	return err
}

// list builds the signed allowlist of the cast.
func (s *site) list(ctx context.Context) error {
	now := time.Now()
	if err := writeCSV(s.path("list.csv"), append(s.cast, s.guests...), now); err != nil {
		return err
	}
	if _, err := kiosk.Run(ctx, s.program("gatectl"), "list", "keygen", "--out", s.path("keys")); err != nil {
		return err
	}
	_, err := kiosk.Run(ctx, s.program("gatectl"), "list", "build", "--in", s.path("list.csv"), "--out", s.path("list"),
		"--key", s.path("keys/signing.key"), "--generation", "1", "--version", "1", "--airport", airport, "--strict",
		"--issued", now.Add(-listAge).UTC().Format(time.RFC3339), "--valid", (listAge + listValid).String())
	return err
}

// enrol makes the kiosk's keys and has central sign them.
func (s *site) enrol(ctx context.Context) error {
	request, bundle := s.path("kiosk.request"), s.path("kiosk.bundle")
	out, err := kiosk.Run(ctx, s.program("gatectl"), "kiosk", "request", "--state", s.path("kiosk"), "--name", kioskName)
	if err != nil {
		return err
	}
	if err := os.WriteFile(request, out, 0o600); err != nil {
		return err
	}
	if _, err := kiosk.Run(ctx, s.program("gatectl"), "kiosk", "add", request, "--central", s.path("central"),
		"--list-key", s.path("keys/signing.pub"), "--airport", airport, "--out", bundle); err != nil {
		return err
	}
	_, err = kiosk.Run(ctx, s.program("gatectl"), "kiosk", "install", bundle, "--state", s.path("kiosk"))
	return err
}

// devices plugs scanners and relay in.
func (s *site) devices(context.Context) (err error) {
	dir := s.path("dev")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if s.codes, err = port.NewScanner(dir, "scanner"); err != nil {
		return err
	}
	if s.zones, err = port.NewScanner(dir, "mrz-reader"); err != nil {
		return err
	}
	s.zones.Prefix, s.zones.Suffix = "\x02", "\r\x03" // STX, lines that CR ends, ETX
	opts := port.RelayOptions{Protocol: port.ProtocolModbus, AutoPass: 150 * time.Millisecond, Beam: 200 * time.Millisecond}
	if !s.o.once {
		opts.AutoPass = time.Second // at a walk
	}
	if s.o.faces {
		opts.Beam *= 2 // a browser beside it can keep the sensor's next question waiting
	}
	s.relay, err = port.NewRelay(dir, "relay", opts)
	return err
}

// startAgent writes the kiosk's configuration, starts the agent and waits
// until it serves, knows its list and is connected.
func (s *site) startAgent(ctx context.Context) error {
	if s.pin == "" {
		n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
		if err != nil {
			return err
		}
		s.pin = fmt.Sprintf("%06d", n)
	}
	if err := s.writeConfig(); err != nil {
		return err
	}
	log := s.path("agent.log")
	if s.asks {
		log = s.path("agent-asks.log")
	}
	var err error
	s.agent, err = kiosk.Start(kiosk.Command{Name: "gateagent", LogFile: log,
		Env:  []string{vpcd.SocketVariable + "=" + s.daemon.Socket()},
		Args: []string{s.program("gateagent"), "run", "--config", s.path("gateagent.toml")}})
	if err != nil {
		return err
	}
	start, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	if _, err := s.agent.AwaitLine(start, "msg=ready"); err != nil {
		return err
	}
	s.pages = newPages(s.pageAddr, operatorName, s.pin)
	if err := s.pages.SignIn(ctx); err != nil {
		return err
	}
	watch, end := context.WithCancel(ctx)
	s.unfollow = end
	go s.pages.follow(watch)
	_, err = s.await(ctx, "the agent to be ready", readyWithin, func(v view) bool {
		return v.Stage == gate.StageIdle && v.ListStatus.Present && v.UplinkUp
	})
	return err
}

// errWaited: what was waited for did not come.
var errWaited = errors.New("waited")

// await waits for a view of the staff page.
func (s *site) await(ctx context.Context, what string, limit time.Duration, want func(view) bool) (view, error) {
	if !s.now.seen.IsZero() && want(s.now) {
		return s.now, nil
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var down <-chan struct{}
	if s.central != nil {
		down = s.central.Done()
	}
	for {
		select {
		case v := <-s.pages.views:
			s.filmed = s.filmed || v.Face != nil && v.Face.State == gate.FaceCapture
			if s.now = v; want(v) {
				return v, nil
			}
		case err := <-s.pages.failures:
			return s.now, err
		case <-s.agent.Done():
			return s.now, s.agent.Ended()
		case <-down:
			return s.now, s.central.Ended()
		case <-ctx.Done():
			return s.now, ctx.Err()
		case <-timer.C:
			return s.now, fmt.Errorf("%w %v for %s; the kiosk shows stage %q%s", errWaited, limit, what, s.now.Stage, s.notices())
		}
	}
}

// catchUp takes what the staff page has shown meanwhile; its last transaction,
// a visitor's own included, is nobody's that comes.
func (s *site) catchUp() {
	for len(s.pages.views) > 0 {
		s.now = <-s.pages.views
	}
	if s.now.Tx != "" {
		s.previous = s.now.Tx
	}
}

func (s *site) notices() string {
	text := ""
	for _, n := range s.now.Notices {
		if n.Level != "info" {
			text += fmt.Sprintf("; %s: %s: %s", n.Level, n.Source, n.Text)
		}
	}
	return text
}

// close ends everything, the agent first.
func (s *site) close() error {
	if s.browser != nil {
		s.browser.close()
	}
	errs := []error{s.agent.Stop(), s.central.Stop()}
	for _, scanner := range []*port.Scanner{s.codes, s.zones} {
		if scanner != nil {
			errs = append(errs, scanner.Close())
		}
	}
	if s.relay != nil {
		errs = append(errs, s.relay.Close())
	}
	if s.daemon != nil {
		errs = append(errs, s.daemon.Stop())
	}
	if s.marker != nil {
		errs = append(errs, s.marker.Close())
	}
	return errors.Join(errs...)
}
