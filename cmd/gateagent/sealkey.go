package main

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gateagent/config"
	"gateagent/gate/wire"
	"gateagent/internal/durable"
	"gateagent/internal/tpm"
)

// credentialSeal is the name of systemd's credential with the kiosk's seal key.
const credentialSeal = "gateagent.seal"

// maxCredential bounds it.
const maxCredential = 4 << 10

// takeSeal gives the kiosk's keys the one that opens what central seals, from
// where list.protect says that it lies. A key that cannot be had stops nobody
// from starting: the list then cannot be opened, everybody is referred, and
// staff see why.
func (b *builder) takeSeal(ctx context.Context, keys *wire.KioskKeys, dir string) {
	var err error
	switch b.c.List.Protect {
	case config.ProtectTPM:
		err = b.sealByTPM(ctx, keys, dir)
	case config.ProtectCredential:
		err = sealByCredential(keys)
	default:
		if keys.Seal == nil {
			err = errors.New("list.protect is \"file\" and the key was moved elsewhere: set it to what it was, or enrol this kiosk anew")
		}
	}
	if err == nil && b.c.List.Protect != config.ProtectFile {
		err = keys.HideSeal(dir)
	}
	if err == nil {
		return
	}
	keys.Seal = nil
	b.sealProblem = err.Error()
	b.log.Error("the kiosk's own key cannot be used: no list opens and everybody is referred", "err", err)
}

// sealByTPM has the TPM open the key; the first time, seal it.
func (b *builder) sealByTPM(ctx context.Context, keys *wire.KioskKeys, dir string) error {
	path := filepath.Join(dir, wire.FileSealTPM)
	sealed, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && keys.Seal != nil {
		raw := keys.Seal.Bytes()
		defer clear(raw)
		if sealed, err = tpm.Seal(ctx, b.c.List.TPM, raw, b.c.List.PCRs); err != nil {
			return err
		}
		b.log.Info("the kiosk's own key was sealed by the TPM and is taken off the disk", "tpm", b.c.List.TPM)
		return durable.WriteFile(path, sealed, 0o600)
	}
	if err != nil {
		return fmt.Errorf("the key that the TPM sealed: %w: enrol this kiosk anew", err)
	}
	raw, err := tpm.Unseal(ctx, b.c.List.TPM, sealed)
	if errors.Is(err, tpm.ErrSealed) {
		return fmt.Errorf("%w: enrol this kiosk anew (docs/operations.md)", err)
	}
	if err != nil {
		return err
	}
	defer clear(raw)
	key, err := ecdh.X25519().NewPrivateKey(raw)
	if err == nil {
		err = keys.UseSeal(key)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: enrol this kiosk anew", path, err)
	}
	return nil
}

// sealByCredential reads the key from systemd's credentials, which the service
// alone sees, in memory, while it runs (systemd.exec(5), CREDENTIALS).
func sealByCredential(keys *wire.KioskKeys) error {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return errors.New("systemd gave this process no credentials: is /etc/credstore.encrypted/" + credentialSeal + " there?")
	}
	path := filepath.Join(dir, credentialSeal)
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxCredential {
		err = fmt.Errorf("it has %d bytes", info.Size())
	}
	if err != nil {
		return fmt.Errorf("systemd's credential %s: %w: make it with systemd-creds (docs/operations.md)", credentialSeal, err)
	}
	text, err := os.ReadFile(path)
	defer clear(text)
	var key *ecdh.PrivateKey
	if err == nil {
		key, err = wire.ParseSealPrivate(text)
	}
	if err == nil {
		err = keys.UseSeal(key)
	}
	if err != nil {
		return fmt.Errorf("systemd's credential %s: %w", credentialSeal, err)
	}
	return nil
}
