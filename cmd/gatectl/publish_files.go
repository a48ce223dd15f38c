package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"gateagent/central/repo"
	"gateagent/config"
	"gateagent/gate/wire"
	"gateagent/match/allowlist"
	"gateagent/match/face/pack"
)

// maxPublished bounds a file of trust material, settings or models that is
// compared with the one in force.
const maxPublished = 64 << 20

// stageFlags are those of what can be given to some kiosks first.
type stageFlags struct {
	repoFlags
	valid  time.Duration
	canary uint8
}

func (f *stageFlags) register(cmd *cobra.Command, staged bool) {
	f.registerKeys(cmd)
	cmd.Flags().DurationVar(&f.valid, "valid", 365*24*time.Hour, "how long it is valid")
	if staged {
		cmd.Flags().Uint8Var(&f.canary, "canary", 0, "only for this share of the kiosks, in `per cent`; publish again without it for all")
	}
}

// entry makes what a target says of itself. Its version follows the one that
// is there.
func (f *stageFlags) entry(r *repo.Repo, kind, path string, now time.Time) wire.Target {
	t := wire.Target{Kind: kind, Version: 1, Issued: now, Expires: now.Add(f.valid).Truncate(time.Second), Canary: f.canary}
	if old := r.Targets(kind)[path]; old != nil {
		t.Version = old.Version + 1
	}
	return t
}

func publishTrustCommand() *cobra.Command {
	var f stageFlags
	cmd := &cobra.Command{
		Use:   "trust FOLDER",
		Short: "Publish what documents are judged by",
		Long: `Publish what documents are judged by: country certificates, master lists,
revocation lists, defect lists, as in a kiosk's trust folder (gatectl trust).
Kiosks get exactly the files of this folder, all of them together; what is
missing here is taken out. A file that a kiosk could not use is refused.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			inv, _, err := inventory(args[0], "")
			if err != nil {
				return err
			}
			for _, u := range inv.Unused {
				return fmt.Errorf("%s: %s: no kiosk could use it", filepath.Join(args[0], u.File), clean(u.Detail))
			}
			if len(inv.Certificates) == 0 {
				return fmt.Errorf("%s holds no certificate: kiosks would trust nobody", args[0])
			}
			return f.folder(cmd, wire.KindTrust, args[0])
		},
	}
	f.register(cmd, false)
	return cmd
}

func publishModelsCommand() *cobra.Command {
	var f stageFlags
	var trusted []string
	cmd := &cobra.Command{
		Use:   "models FOLDER|calibration.json",
		Short: "Publish a face model pack, or its calibration record alone",
		Long: `Publish a face model pack with its calibration record (gatectl model, gatectl
face calibrate). Kiosks get exactly the files of this folder, all of them
together. The pack is opened and checked first.

A file calibration.json takes the place of the record that is published, or is
published alone for the packs that kiosks have. Its signature is checked with
--calibration-key first.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if filepath.Base(args[0]) == pack.CalibrationFile {
				return f.calibration(cmd, args[0], trusted)
			}
			if _, err := pack.Open(args[0], pack.Options{}); err != nil {
				return err
			}
			return f.folder(cmd, wire.KindModels, args[0])
		},
	}
	f.register(cmd, true)
	cmd.Flags().StringArrayVar(&trusted, "calibration-key", nil, "`file` with the public key that signed a record that comes alone, repeatable")
	return cmd
}

// calibration publishes a calibration record beside the pack that is published,
// if any.
func (f *stageFlags) calibration(cmd *cobra.Command, path string, trusted []string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var all []ed25519.PublicKey
	for _, file := range trusted {
		k, err := allowlist.ReadPublicKeys(file)
		if err != nil {
			return err
		}
		all = append(all, k...)
	}
	c, err := pack.OpenCalibration(raw, all)
	if err != nil {
		return fmt.Errorf("%w; name the key with --calibration-key", err)
	}
	return f.change(cmd, func(r *repo.Repo) error {
		now := time.Now().UTC().Truncate(time.Second)
		manifest, err := r.Content(wire.RoleModels + "/" + pack.ManifestFile)
		if sum := sha256.Sum256(manifest); err == nil && c.Pack != hex.EncodeToString(sum[:]) {
			return fmt.Errorf("%s is for pack %.16s…, published is %.16x…", path, c.Pack, sum)
		}
		if err != nil && !errors.Is(err, repo.ErrNoTarget) {
			return err
		}
		return f.file(r, wire.KindModels, wire.RoleModels+"/"+pack.CalibrationFile, path, now)
	})
}

// folder makes a role hold exactly the files of a folder. A file that has not
// changed keeps its version until half of its validity is over.
func (f *stageFlags) folder(cmd *cobra.Command, kind, dir string) error {
	files, err := filesOf(dir)
	if err != nil {
		return err
	}
	return f.change(cmd, func(r *repo.Repo) error {
		now := time.Now().UTC().Truncate(time.Second)
		wanted := map[string]bool{}
		for _, file := range files {
			path := kind + "/" + filepath.Base(file)
			wanted[path] = true
			if err := f.file(r, kind, path, file, now); err != nil {
				return err
			}
		}
		for path := range r.Targets(kind) {
			if !wanted[path] {
				if err := r.Remove(path, now); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (f *stageFlags) file(r *repo.Repo, kind, path, file string, now time.Time) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.Size() > maxPublished {
		return fmt.Errorf("%s has %d bytes, at most %d can be published", file, info.Size(), maxPublished)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	was, err := r.Content(path)
	if err != nil && !errors.Is(err, repo.ErrNoTarget) {
		return err
	}
	if old := r.Targets(kind)[path]; old != nil && bytes.Equal(data, was) && old.Canary == f.canary && old.Expires.Sub(now) > f.valid/2 {
		return nil
	}
	p := publication{path: path, content: data, target: f.entry(r, kind, path, now)}
	return p.add(r, now)
}

func publishSettingsCommand() *cobra.Command {
	var f stageFlags
	cmd := &cobra.Command{
		Use:   "settings FILE",
		Short: "Publish settings: thresholds, opening hours, policy, messages",
		Long: `Publish settings: a TOML file with those keys of the kiosk's configuration that
are to be the same everywhere. An unknown key or a wrong type is refused here,
and again on the kiosk, before it replaces anything.

--canary 5 gives them to five of a hundred kiosks first. Publish the same file
without it when they do well.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			if err := config.CheckPart(args[0], data); err != nil {
				return err
			}
			return f.change(cmd, func(r *repo.Repo) error {
				now := time.Now().UTC().Truncate(time.Second)
				return f.file(r, wire.KindSettings, wire.RoleSettings+"/"+filepath.Base(args[0]), args[0], now)
			})
		},
	}
	f.register(cmd, true)
	return cmd
}

func publishSoftwareCommand() *cobra.Command {
	var f stageFlags
	var release, arch, after string
	cmd := &cobra.Command{
		Use:   "software FILE --release NAME",
		Short: "Publish a release of the agent",
		Long: `Publish a release of the agent. Kiosks fetch and prove it, and say whether they
could take it; they install nothing by this alone.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			if !info.Mode().IsRegular() || info.Size() == 0 {
				return fmt.Errorf("%s is no release: want a file with something in it", args[0])
			}
			return f.change(cmd, func(r *repo.Repo) error {
				now := time.Now().UTC().Truncate(time.Second)
				p := publication{path: wire.RoleSoftware + "/" + filepath.Base(args[0]), file: args[0]}
				p.target = f.entry(r, wire.KindSoftware, p.path, now)
				p.target.Release, p.target.Arch, p.target.After = release, arch, after
				return p.add(r, now)
			})
		},
	}
	f.register(cmd, true)
	cmd.Flags().StringVar(&release, "release", "", "`name` of the release, as git describe gives it")
	cmd.Flags().StringVar(&arch, "arch", runtime.GOARCH, "amd64 or arm64")
	cmd.Flags().StringVar(&after, "after", "", "the oldest `release` that it may replace (default any)")
	required(cmd, "release")
	return cmd
}
