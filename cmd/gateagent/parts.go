package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"gateagent/config"
	"gateagent/drivers/barrier"
	"gateagent/drivers/camera"
	"gateagent/drivers/chip"
	"gateagent/drivers/pcsc"
	"gateagent/drivers/scan"
	"gateagent/drivers/serial"
	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/internal/clock"
	"gateagent/match/allowlist"
	"gateagent/match/document"
	"gateagent/match/face"
	"gateagent/offline"
	"gateagent/update"
	"gateagent/uplink"
	"gateagent/web"
)

// builder makes the parts one after the other; each step may use those before.
type builder struct {
	c     *config.Config
	log   *slog.Logger
	clock *clock.Clock
	tasks []task

	kiosk      string
	identity   *wire.Identity   // nil without enrolment
	docKeys    *wire.DocKeyring // nil without enrolment
	sealTo     *wire.SealKey    // nil: results lie in clear
	box        *offline.Outbox
	store      *allowlist.Store
	judge      *document.Judge
	reader     *pcsc.Reader
	scanners   *scanners
	ports      []*serial.Port
	gateOut    *barrier.Barrier
	web        *web.Server
	pictures   camera.Source // nil without a face policy
	pageCamera *camera.Page  // the same, where the browser owns the camera
	matcher    *face.Matcher
	noStrict   bool // nobody can pass without chip proof, though the policy names issuers
	status     *status
	up         *uplink.Uplink  // nil when off
	updates    *update.Updater // nil when nothing is taken
	trustMoved chan struct{}
	restarts   chan struct{} // asks for a start with what is to be tried
	modelsLost string        // why pushed models are not used; empty when they are, or there are none
	*trying                  // nil in tests of a single part
	theLane    *gate.Lane

	secrets     *wire.ListSecretRing // nil without enrolment: they lie beside the lists
	sealProblem string               // why the kiosk's own key cannot be used; empty: it can
}

func (b *builder) add(name string, run func(context.Context) error, ready <-chan struct{}) {
	b.tasks = append(b.tasks, task{name, run, ready})
}

// identify loads who this kiosk is. Without an enrolment only a kiosk whose
// uplink is switched off may run.
func (b *builder) identify(ctx context.Context) error {
	dir := b.statePath(wire.IdentityFolder)
	id, err := b.whoami(ctx, dir)
	switch {
	case err == nil:
		b.identity, b.kiosk, b.sealTo = id, id.Name, id.SealTo
		if b.docKeys, err = wire.OpenDocKeyring(dir, id); err != nil {
			b.log.Warn("the keys of document references that central sent last cannot be read; those of the bundle serve until it sends them again", "err", err)
		}
		if b.secrets, err = wire.OpenListSecrets(dir, id); err != nil {
			b.log.Warn("list secrets cannot be read; others serve, if there are any, until central sends them again", "err", err)
		}
		return nil
	case b.c.Uplink.Off && errors.Is(err, fs.ErrNotExist) && b.c.List.Protect != config.ProtectFile:
		return fmt.Errorf("list.protect = %q protects the key of an enrolled kiosk, and this one is not: %w", b.c.List.Protect, err)
	case b.c.Uplink.Off && errors.Is(err, fs.ErrNotExist):
		b.kiosk = strings.ToLower(strings.NewReplacer(".", "-", "_", "-").Replace(b.c.Gate.Name))
		return b.ownSealKey()
	}
	return err
}

func (b *builder) whoami(ctx context.Context, dir string) (*wire.Identity, error) {
	keys, err := wire.LoadKioskKeys(dir)
	if err != nil {
		return nil, err
	}
	b.takeSeal(ctx, keys, dir)
	return keys.Identity(dir)
}

// maxAge is how long results may wait for central; a kiosk without one has no
// such bound.
func (b *builder) maxAge() time.Duration {
	if b.c.Uplink.Off {
		return 0
	}
	return b.c.State.MaxAge.Std()
}

func (b *builder) outbox(ctx context.Context) (err error) {
	b.box, err = offline.Open(ctx, offline.Config{Dir: b.c.State.Dir, Kiosk: b.kiosk, Log: b.log, MaxBytes: int64(b.c.State.MaxBytes),
		MaxAge: b.maxAge(), KeepAge: b.c.State.KeepAcked.Std(), KeepBytes: int64(b.c.State.KeepAckedBytes),
		Seal: b.sealTo, Retention: time.Duration(b.c.Record.KeepDays) * 24 * time.Hour})
	if err == nil {
		b.add("retention", b.expire, nil)
	}
	return err
}

// list opens the list in force and follows the folder where new ones arrive.
func (b *builder) list(context.Context) error {
	keys, err := b.listKeys()
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		b.log.Warn("no key may sign allowlists: every list is refused and nobody is admitted; set list.keys or enrol the kiosk")
	}
	opts := allowlist.Options{Keys: keys, Airport: b.c.Update.Airport, Prove: b.proving(), Log: b.log}
	b.openSecrets(&opts)
	b.store, err = allowlist.OpenStore(b.statePath("list"), opts)
	if err != nil {
		return err
	}
	b.signedFloor()
	b.add("allowlist", func(ctx context.Context) error {
		return b.store.Follow(ctx, b.c.List.Dir, time.Second, b.trusted)
	}, nil)
	if b.secrets != nil && b.c.List.Protect != config.ProtectFile {
		b.add("list secrets", b.takeSecrets, nil)
	}
	return nil
}

// signedFloor keeps the clock from lying before the list in force.
func (b *builder) signedFloor() gate.ListStatus {
	list := b.store.Status()
	if list.Present {
		b.clock.Floor(list.Issued)
	}
	return list
}

func (b *builder) listKeys() ([]ed25519.PublicKey, error) {
	if len(b.c.List.Keys) == 0 {
		if b.identity == nil {
			return nil, nil
		}
		return b.identity.ListKeys, nil
	}
	return publicKeys(b.c.List.Keys)
}

// trustEvery is how often the agent looks whether the trust folder changed.
const trustEvery = 30 * time.Second

// devices builds reader, scanners, barrier and what judges documents.
func (b *builder) devices(context.Context) error {
	trust, err := document.LoadTrust(b.trustDir(), b.log)
	if err != nil {
		return err
	}
	b.log.Info("trust loaded", "certificates", trust.Certificates())
	b.judge = document.NewJudge(trust)
	b.add("trust", b.followTrust, nil)
	b.reader = pcsc.New(pcsc.Config{Reader: b.c.Reader.Name, Exclusive: !b.c.Reader.Shared, LockDir: b.runtimeDir(), LockAlso: defaultRuntime(), Log: b.log})
	b.add("reader", b.reader.Run, nil)
	b.scanners = newScanners()
	for _, s := range b.c.Scanner {
		port, err := serial.New(scannerLine(s, b.log))
		if err != nil {
			return err
		}
		source := scan.NewSource(port)
		b.scanners.add(source)
		b.ports = append(b.ports, port)
		b.add("scanner "+s.Path, port.Run, nil)
		b.add("scans of "+s.Path, source.Run, nil)
	}
	b.add("scanners", b.scanners.run, nil)
	return b.barrier()
}

func (b *builder) runtimeDir() string {
	if b.c.State.Runtime != "" {
		return b.c.State.Runtime
	}
	return defaultRuntime()
}

func (b *builder) barrier() error {
	line, err := serial.New(relayLine(b.c, b.log))
	if err != nil {
		return err
	}
	b.gateOut, err = barrier.New(barrierConfig(b.c, b.log), line)
	if err != nil {
		return err
	}
	b.add("relay", line.Run, nil)
	b.add("barrier", b.gateOut.Run, b.gateOut.Ready())
	return nil
}

// pages takes the port of the kiosk's own pages.
func (b *builder) pages(context.Context) (err error) {
	var ops []web.Operator
	for _, o := range b.c.Staff.Operators {
		ops = append(ops, web.Operator{Name: o.Name, PINHash: o.PIN})
	}
	b.web, err = web.New(web.Config{Listen: b.c.Web.Listen, Operators: ops, Reasons: b.c.Staff.Reasons, Log: b.log, Camera: b.cameraSink(), MirrorAgent: b.pictures != nil && b.pageCamera == nil,
		Demo: b.pictures != nil && b.c.Face.Demo, Messages: messages(b.c)})
	if err != nil {
		return err
	}
	b.status = &status{}
	b.add("pages", b.web.Run, b.web.Ready())
	return nil
}

// uplink builds the way to central.
func (b *builder) uplink(context.Context) (err error) {
	if b.c.Uplink.Off {
		b.log.Warn("the uplink is switched off: results stay here")
		return nil
	}
	b.up, err = uplink.New(uplink.Config{
		Identity: b.identity, Brokers: b.c.Uplink.Brokers, Store: b.box, Log: b.log, Time: b.clock, Now: b.uplinkTime,
		Status: b.heartbeat, Command: b.command,
		Pushed: b.pushed(), Paths: uplinkPaths(b.c), Stable: b.c.Uplink.Stable.Std(), Dir: b.c.State.Dir, Zone: b.c.Gate.Location,
	})
	if err != nil {
		return err
	}
	b.add("uplink", b.up.Run, nil)
	return nil
}

// lane joins everything.
func (b *builder) lane(ctx context.Context) error {
	referrals, err := b.recoverOpen(ctx)
	if err != nil {
		return err
	}
	face := gate.FaceUnset
	switch b.c.Policy.Face {
	case "off":
		face = gate.FaceOff
	case "required":
		face = gate.FaceRequired
	}
	t := b.c.Timing
	memory := chip.NewMemory()
	parts := gate.Parts{
		Gate:    b.c.Gate.Name,
		Policy:  gate.Policy{Name: b.c.Policy.Name, Face: face, StrictScore: b.c.Policy.CloneUnproven.Threshold},
		Profile: gate.DefaultProfile(b.c.Policy.RequireCRL...).AllowCloneUnproven(b.c.Policy.CloneUnproven.Issuers...),
		Timing:  gate.Timing{Card: t.Card.Std(), Scan: t.Scan.Std(), Transaction: t.Transaction.Std(), Outcome: t.Outcome.Std()},
		Cards:   b.reader, Scanner: b.scanners,
		OpenChip: func(t gate.Transmitter) gate.Chip { return chip.New(t, chip.Options{Memory: memory}) },
		Judge:    b.judge, List: b.listAsked(), Recorder: recorder{b.box, b.c.Record.Level}, Barrier: b.gateOut,
		Screen: screens{b.web, b.status}, Clock: b.trusted, Log: b.log,
		Hours: hours(b.c), Surroundings: b.surroundings, DocRef: b.docRef(), Referrals: referrals,
	}
	b.faceParts(&parts)
	b.theLane, err = gate.NewLane(parts)
	if err != nil {
		return fmt.Errorf("lane: %w", err)
	}
	b.web.SetDesk(b.theLane)
	b.add("lane", b.theLane.Run, b.theLane.Ready())
	return nil
}
