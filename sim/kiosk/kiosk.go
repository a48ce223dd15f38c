package kiosk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gateagent/sim/doc"
	"gateagent/sim/port"
	"gateagent/sim/vpcd"
)

// reader is the virtual reader's slot 0 as pcscd names it.
const reader = "Virtual PCD 00 00"

// Options describe one gate.
type Options struct {
	Bin   string // folder of gateagent and gatectl
	Dir   string // for everything; keep it short, a socket lies in it
	Name  string // of the kiosk; the gate is the same in capitals
	Trust string // folder of country certificates
	// Central is where the kiosk reports to; nil switches the uplink off.
	Central *Central
	// Listed are on the allowlist, version 1, for a day.
	Listed []*doc.Document
	// Pushed: lists come by central's repository, and only their secret by
	// hand.
	Pushed bool
	// Relay describes the gate's output; nil is a board at which everybody
	// admitted walks through, and so is a zero AutoPass.
	Relay *port.RelayOptions
	// Outcome is how long an outcome stays on the screen; 0: 300 ms.
	Outcome time.Duration
	// Card is how long the kiosk waits for the card; 0: 3 s.
	Card time.Duration
	// Face is the policy's word on faces; empty: "off".
	Face string
	// Wrap is put before the agent's own command line, Env is added to its
	// environment.
	Wrap, Env []string
}

// Kiosk is one gate. The agent is not started by New.
type Kiosk struct {
	o       Options
	Daemon  *vpcd.Daemon
	Scanner *port.Scanner
	Relay   *port.Relay
	Pages   *Pages
	Agent   *Program // of the newest start

	listen string
}

// New makes everything of a gate but starts no agent. Close it also after an
// error.
func New(ctx context.Context, o Options) (*Kiosk, error) {
	if o.Outcome == 0 {
		o.Outcome = 300 * time.Millisecond
	}
	if o.Card == 0 {
		o.Card = 3 * time.Second
	}
	if o.Relay == nil {
		o.Relay = &port.RelayOptions{}
	}
	if o.Relay.AutoPass == 0 {
		// Slow enough for a busy machine: the agent must see the sensor free
		// and then interrupted.
		o.Relay.AutoPass, o.Relay.Beam = 400*time.Millisecond, 800*time.Millisecond
	}
	k := &Kiosk{o: o}
	for _, d := range []string{"dev", "incoming", "pcscd", "state"} {
		if err := os.MkdirAll(k.Path(d), 0o700); err != nil {
			return k, err
		}
	}
	ports, err := freePorts(1)
	if err != nil {
		return k, err
	}
	k.listen, k.Pages = ports[0], NewPages(ports[0], Operator, pin)
	if k.Scanner, err = port.NewScanner(k.Path("dev"), "scanner"); err != nil {
		return k, err
	}
	if k.Relay, err = port.NewRelay(k.Path("dev"), "relay", *o.Relay); err != nil {
		return k, err
	}
	if _, err := k.tool(ctx, "list", "keygen", "--out", k.Path("keys")); err != nil {
		return k, err
	}
	if err := k.PushList(ctx, ListOptions{Version: 1, Listed: o.Listed}); err != nil {
		return k, err
	}
	if err := k.enrol(ctx); err != nil {
		return k, err
	}
	if err := os.WriteFile(k.ConfigFile(), []byte(k.config()), 0o600); err != nil {
		return k, err
	}
	k.Daemon, err = vpcd.StartDaemon(context.WithoutCancel(ctx), k.Path("pcscd"), nil)
	return k, err
}

// Name is the kiosk's name.
func (k *Kiosk) Name() string { return k.o.Name }

// Gate is the gate's name.
func (k *Kiosk) Gate() string { return strings.ToUpper(k.o.Name) }

// Path is something in the kiosk's folder.
func (k *Kiosk) Path(name string) string { return filepath.Join(k.o.Dir, name) }

// State is the agent's state folder.
func (k *Kiosk) State() string { return k.Path("state") }

// ConfigFile is the agent's configuration.
func (k *Kiosk) ConfigFile() string { return k.Path("gateagent.toml") }

func (k *Kiosk) tool(ctx context.Context, args ...string) ([]byte, error) {
	return Run(ctx, filepath.Join(k.o.Bin, "gatectl"), args...)
}

// enrol makes the kiosk's keys and has central sign them.
func (k *Kiosk) enrol(ctx context.Context) error {
	if k.o.Central == nil {
		return nil
	}
	request, err := k.tool(ctx, "kiosk", "request", "--state", k.State(), "--name", k.o.Name)
	if err != nil {
		return err
	}
	if err := os.WriteFile(k.Path("request"), request, 0o600); err != nil {
		return err
	}
	if _, err := k.tool(ctx, "kiosk", "add", k.Path("request"), "--central", k.o.Central.dir,
		"--list-key", k.Path("keys/signing.pub"), "--out", k.Path("bundle")); err != nil {
		return err
	}
	_, err = k.tool(ctx, "kiosk", "install", k.Path("bundle"), "--state", k.State())
	return err
}

// Launch starts an agent and does not wait for anything.
func (k *Kiosk) Launch() (*Program, error) {
	args := append(append([]string(nil), k.o.Wrap...), filepath.Join(k.o.Bin, "gateagent"), "run", "--config", k.ConfigFile())
	return Start(Command{Name: "gateagent", LogFile: k.Path("agent.log"), Args: args,
		Env: append([]string{vpcd.SocketVariable + "=" + k.Daemon.Socket()}, k.o.Env...)})
}

// Start starts the kiosk's agent and waits until it serves.
func (k *Kiosk) Start(ctx context.Context) error {
	p, err := k.Launch()
	if err != nil {
		return err
	}
	k.Agent = p
	_, err = p.AwaitLine(ctx, "msg=ready")
	return err
}

// Present lays a chip on the reader.
func (k *Kiosk) Present(h vpcd.APDUHandler) (*vpcd.Link, error) { return k.Daemon.Insert(0, h) }

// Close ends everything, the agent first.
func (k *Kiosk) Close() error {
	errs := []error{k.Agent.Stop()}
	if k.Daemon != nil {
		errs = append(errs, k.Daemon.Stop())
	}
	if k.Scanner != nil {
		errs = append(errs, k.Scanner.Close())
	}
	if k.Relay != nil {
		errs = append(errs, k.Relay.Close())
	}
	return errors.Join(errs...)
}

// Check runs `gateagent check` on the configuration.
func (k *Kiosk) Check(ctx context.Context) error {
	if _, err := Run(ctx, filepath.Join(k.o.Bin, "gateagent"), "check", "--config", k.ConfigFile()); err != nil {
		return fmt.Errorf("the simulated kiosk's configuration: %w", err)
	}
	return nil
}
