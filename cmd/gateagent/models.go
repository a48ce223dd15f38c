package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gateagent/match/face"
	"gateagent/match/face/pack"
	"gateagent/match/face/worker"
	"gateagent/update"
)

// modelsWithin bounds the trial of a pushed pack: two starts from a cold disk
// and a few pictures.
const modelsWithin = time.Minute

// modelsApplier makes what takes pushed models. A lane that compares no face takes
// them, too, and starts anew with none.
func (b *builder) modelsApplier() *update.Models {
	b.models.Kiosk, b.models.Prepare = b.kiosk, b.prepareModels
	if b.matcher != nil {
		b.models.Restart = b.restart
	}
	return b.models
}

// packInForce opens the pack that faces are compared with: the pushed one, else
// the one before it, else the configuration's. Only on trial there is no else.
func (b *builder) packInForce() (*pack.Pack, error) {
	var set update.ModelSet
	if b.trying != nil {
		set = b.modelSet
	}
	for _, name := range []string{set.Name, set.Before} {
		if name == "" {
			continue
		}
		pin := map[string]string{}
		if name == set.Name {
			pin[pack.ManifestFile] = set.Pack
		}
		p, err := b.openPack(b.models.Folder(name), pin)
		if err == nil || b.trial {
			return p, err
		}
		b.log.Error("pushed models cannot be used; those before come back", "err", err)
		b.modelsLost = err.Error()
	}
	return b.openPack(b.c.Face.Pack, map[string]string{pack.ManifestFile: b.c.Face.PackHash})
}

func (b *builder) openPack(dir string, pins map[string]string) (*pack.Pack, error) {
	keys, err := publicKeys(b.c.Face.CalibrationKeys)
	if err != nil {
		return nil, err
	}
	var now time.Time
	if t, trusted := b.clock.Now(); trusted {
		now = t
	}
	return pack.Open(dir, pack.Options{Pins: pins, CalibrationKeys: keys, Now: now, Demo: b.c.Face.Demo})
}

// prepareModels judges a folder with a pushed pack, or with a calibration
// record alone, which is then joined with the pack in force: every file's hash,
// the record's signature, and that nothing else lies there. Where faces are
// compared, a worker of its own must start with it and tell people apart.
func (b *builder) prepareModels(ctx context.Context, dir string, _ update.Push) (string, error) {
	if err := b.completePack(dir); err != nil {
		return "", err
	}
	p, err := b.openPack(dir, nil)
	if err != nil {
		return "", err
	}
	if err := onlyPack(dir, p); err != nil {
		return "", err
	}
	if _, err := os.Lstat(filepath.Join(dir, pack.CalibrationFile)); err == nil && p.Calibration() == nil {
		return "", fmt.Errorf("its calibration record counts for nothing: %w", p.Problem())
	}
	if b.matcher == nil {
		return p.Hash(), nil // nobody compares faces here
	}
	if now := b.matcher.Calibrated(); now && !p.Admits() {
		return "", fmt.Errorf("it would admit nobody, and the pack in force does: %w", p.Problem())
	}
	if err := b.strictFits(p.Threshold()); err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, modelsWithin)
	defer cancel()
	return p.Hash(), face.SelfTest(ctx, worker.Config{Command: []string{self, "face-worker"}, Pack: p, Library: b.c.Face.Library, Log: b.log})
}

// completePack joins a calibration record that came alone with the files of
// the pack in force.
func (b *builder) completePack(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, pack.ManifestFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	base, err := b.packInForce()
	if err != nil {
		return fmt.Errorf("a calibration record came without a pack, and the pack in force cannot be opened: %w", err)
	}
	for _, name := range packFiles(base) {
		if name == pack.CalibrationFile {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(base.Dir(), name))
		if errors.Is(err, fs.ErrNotExist) && slices.Contains(face.SelfTestFiles(), name) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), raw, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// packFiles lists what may lie in a pack's folder.
func packFiles(p *pack.Pack) []string {
	names := append([]string{pack.ManifestFile, pack.CalibrationFile}, face.SelfTestFiles()...)
	for _, f := range p.Files {
		names = append(names, f.Name)
	}
	return names
}

// onlyPack refuses a folder with anything that is no part of the pack.
func onlyPack(dir string, p *pack.Pack) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	names := packFiles(p)
	for _, e := range entries {
		if !slices.Contains(names, e.Name()) {
			return fmt.Errorf("%s is no part of the pack", e.Name())
		}
	}
	return nil
}
