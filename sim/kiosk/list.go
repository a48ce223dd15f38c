package kiosk

import (
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"gateagent/sim/doc"
)

// ListOptions describe one allowlist.
type ListOptions struct {
	Version uint64
	Listed  []*doc.Document
	Key     string        // signing key; empty: the kiosk's own
	Issued  time.Time     // zero: an hour ago
	Valid   time.Duration // from Issued; 0: a day
}

// PushList builds a list and copies it to where the kiosk looks for it, or
// publishes it.
func (k *Kiosk) PushList(ctx context.Context, o ListOptions) error {
	dir, err := k.BuildList(ctx, o)
	if err != nil {
		return err
	}
	if !k.o.Pushed {
		return k.Deliver(dir)
	}
	if err := k.deliver(filepath.Join(dir, listSecret)); err != nil {
		return err
	}
	return k.o.Central.repo.PublishList(ctx, dir)
}

// listSecret is the name of the file with the secret of a list's generation.
const listSecret = "list.key"

// Revoke takes documents off the list, and publishes that.
func (k *Kiosk) Revoke(ctx context.Context, documents ...*doc.Document) error {
	r := k.o.Central.repo
	if err := r.Revoke(ctx, k.Path("keys/generation-1.secret"), documents...); err != nil {
		return err
	}
	return r.PublishRevocations(ctx)
}

// BuildList builds and signs a list and gives its folder.
func (k *Kiosk) BuildList(ctx context.Context, o ListOptions) (string, error) {
	if o.Issued.IsZero() {
		o.Issued = time.Now().Add(-time.Hour)
	}
	if o.Valid == 0 {
		o.Valid = 24 * time.Hour
	}
	if o.Key == "" {
		o.Key = k.Path("keys/signing.key")
	}
	work, err := os.MkdirTemp(k.o.Dir, "list")
	if err != nil {
		return "", err
	}
	rows, out := filepath.Join(work, "list.csv"), filepath.Join(work, "list")
	if err := k.writeRows(rows, o); err != nil {
		return "", err
	}
	_, err = k.tool(ctx, "list", "build", "--in", rows, "--out", out, "--key", o.Key,
		"--generation", "1", "--version", strconv.FormatUint(o.Version, 10), "--strict",
		"--secret", k.Path("keys/generation-1.secret"), "--issued", o.Issued.UTC().Format(time.RFC3339), "--valid", o.Valid.String())
	return out, err
}

func (k *Kiosk) writeRows(path string, o ListOptions) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	rows := csv.NewWriter(f)
	_ = rows.Write([]string{"issuer", "type", "number", "flights", "gates", "from", "until", "flags"}) // Flush tells
	from, until := o.Issued.UTC().Format(time.RFC3339), o.Issued.Add(o.Valid).UTC().Format(time.RFC3339)
	for _, d := range o.Listed {
		_ = rows.Write([]string{d.Profile.State, d.Profile.Type, d.Number(), "VN123", k.Gate(), from, until, "allow"})
	}
	rows.Flush()
	return rows.Error()
}

// Incoming is the folder in which the agent looks for new lists.
func (k *Kiosk) Incoming() string { return k.Path("incoming") }

// Deliver copies a list's files to where the kiosk looks for them, one after
// the other, as a copy over a network would.
func (k *Kiosk) Deliver(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := k.deliver(filepath.Join(dir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (k *Kiosk) deliver(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	name := filepath.Base(file)
	temp := filepath.Join(k.Incoming(), "."+name)
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(k.Incoming(), name))
}
