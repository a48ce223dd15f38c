package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"gateagent/config"
	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/match/document"
	"gateagent/update"
)

// Folders of what central pushed, inside the state folder.
const (
	pushFolder     = "update"
	pushedTrust    = "trust"
	pushedSoftware = "software"
	pushedModels   = "models"
)

// pushes builds what takes central's pushes, and puts the revocations in
// force that are on the disk.
func (b *builder) pushes(ctx context.Context) error {
	c := b.c.Update
	if c.Root == "" {
		return nil
	}
	root, err := b.firstRoot()
	if err != nil {
		return fmt.Errorf("update.root: %w", err)
	}
	sources, err := b.mirrors()
	if err != nil {
		return err
	}
	b.updates, err = update.New(update.Config{
		Dir: b.statePath(pushFolder), Root: root, Airport: c.Airport, Sources: sources, Every: c.Every.Std(),
		Time: b.trusted, Signed: b.clock.Floor, Ages: b.ages(), Appliers: b.appliers(), Log: b.log,
	})
	if err != nil {
		return err
	}
	b.updates.Start(ctx)
	b.add("update", b.updates.Run, b.updates.Ready())
	return nil
}

// firstRoot is what pushes are proven from until a newer root has come.
func (b *builder) firstRoot() ([]byte, error) {
	switch {
	case b.c.Update.Root != config.RootOfBundle:
		return os.ReadFile(b.c.Update.Root)
	case b.identity == nil:
		return nil, errors.New("it is \"bundle\", and this kiosk is not enrolled: name a file, or leave it empty")
	case len(b.identity.Root) == 0:
		return nil, errors.New("the enrolment bundle brought none: make the bundle again with `gatectl kiosk renew`, name a file, or leave it empty")
	}
	return b.identity.Root, nil
}

// proving says how lists are proven that carry no signature of their own: by
// what lies in the update folder, from the root that the kiosk was given.
func (b *builder) proving() func(statement []byte) error {
	c := b.c.Update
	if c.Root == "" || c.Airport == "" {
		return nil
	}
	return func(statement []byte) error {
		if b.updates != nil {
			return b.updates.Vouch(statement)
		}
		root, err := b.firstRoot()
		if err != nil {
			return fmt.Errorf("update.root: %w", err)
		}
		return update.Vouch(b.statePath(pushFolder), root, c.Airport, statement)
	}
}

func (b *builder) appliers() []update.Applier {
	all := []update.Applier{
		&update.FolderApplier{Of: wire.RoleTrust, Dir: b.statePath(pushedTrust), Check: b.checkTrust, Took: b.useTrust},
		&update.Software{Dir: b.statePath(pushedSoftware), Kiosk: b.kiosk, Release: version, Arch: runtime.GOARCH, Frozen: b.frozen},
	}
	if b.trying != nil {
		b.settings.Kiosk, b.settings.Restart = b.kiosk, b.restart
		all = append(all, b.settings, b.modelsApplier())
	}
	if b.c.Update.Airport != "" {
		all = append(all, &revocations{b.store, b.c.Update.Airport}, &lists{b.store, b.c.Update.Airport, b.c.List.Dir, b.trusted})
	}
	return all
}

// mirrors are reached with the kiosk's own certificate.
func (b *builder) mirrors() ([]update.Source, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS13, Time: b.uplinkTime}
	if b.identity != nil {
		conf.RootCAs, conf.Certificates = b.identity.CA, []tls.Certificate{b.identity.Certificate}
	}
	if path := b.c.Update.CA; path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("update.ca: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("update.ca: %s holds no certificate in PEM", path)
		}
	}
	var all []update.Source
	for _, address := range b.c.Update.Mirrors {
		m, err := update.NewMirror(address, conf)
		if err != nil {
			return nil, fmt.Errorf("update.mirrors: %w", err)
		}
		all = append(all, m)
	}
	return all, nil
}

func (b *builder) ages() (all []update.Age) {
	for _, a := range b.c.Update.Ages {
		all = append(all, update.Age{Of: a.Of, Show: a.Show.Std(), Flag: a.Flag.Std(), Refer: a.Refer.Std()})
	}
	return all
}

// pushed is what takes timestamps from the uplink; nil where nothing is taken.
func (b *builder) pushed() func([]byte) {
	if b.updates == nil {
		return nil
	}
	return b.updates.Wake
}

// trustDir is the folder that documents are judged by: what central pushed
// once it has pushed anything, else the one in the configuration.
func (b *builder) trustDir() string {
	if dir := b.statePath(pushedTrust); b.c.Update.Root != "" {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	return b.c.Trust.Dir
}

// checkTrust refuses pushed trust by which nobody could be judged.
func (b *builder) checkTrust(dir string) error {
	t, err := document.LoadTrust(dir, b.log)
	if err == nil && t.Certificates() == 0 {
		err = errors.New("it holds no country certificate that could be used")
	}
	return err
}

// useTrust puts pushed trust in force.
func (b *builder) useTrust(dir string) error {
	t, err := document.LoadTrust(dir, b.log)
	if err != nil {
		return err
	}
	b.judge.Use(t)
	select {
	case b.trustMoved <- struct{}{}:
	default:
	}
	return nil
}

// followTrust follows the folder that is in force.
func (b *builder) followTrust(ctx context.Context) error {
	for ctx.Err() == nil {
		one, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- b.judge.Follow(one, b.trustDir(), trustEvery, b.log) }()
		select {
		case <-b.trustMoved:
			cancel()
			<-ended
		case err := <-ended:
			cancel()
			return err
		}
	}
	return nil
}

// agedList answers from the list in force as long as the policy lets the age
// of what central pushed.
type agedList struct {
	gate.Allowlist
	overdue func() []update.Overdue
}

// Lookup refers everybody when something is too old, and marks the answer when
// something is old.
func (l agedList) Lookup(q gate.ListQuery) gate.ListAnswer {
	stale := false
	for _, o := range l.overdue() {
		if o.Refers {
			return gate.ListAnswer{Verdict: gate.ListUnavailable, Code: gate.CodeListStale, Stale: true}
		}
		stale = stale || o.Flags
	}
	a := l.Allowlist.Lookup(q)
	a.Stale = stale
	return a
}

// listAsked is what the lane asks.
func (b *builder) listAsked() gate.Allowlist {
	if b.updates == nil {
		return b.store
	}
	return agedList{b.store, b.updates.Overdue}
}

// frozen says until when no software is taken.
func (b *builder) frozen(now time.Time) (time.Time, bool) {
	for _, f := range b.c.Update.Freezes {
		if !now.Before(f.Begin) && now.Before(f.End) {
			return f.End, true
		}
	}
	return time.Time{}, false
}
