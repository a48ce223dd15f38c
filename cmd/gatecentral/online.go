package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"gateagent/central"
	"gateagent/central/keys"
)

// onlineFlags say which keys sign the update repository's snapshot, timestamp
// and revocations while the service runs.
type onlineFlags struct {
	keys       []string
	passphrase string
}

func (o *onlineFlags) register(cmd *cobra.Command, c *central.Config) {
	f := cmd.Flags()
	f.StringVar(&c.Updates.Dir, "repo", "", "folder of the update repository (default repo in the state folder)")
	f.StringVar(&c.Updates.Addr, "updates", "", "address where kiosks fetch updates (HTTPS with their certificates); without it the folder is not served")
	f.StringArrayVar(&o.keys, "online-key", nil, "key of snapshot, timestamp and revocations, a file or a PKCS#11 URI, repeatable")
	f.StringVar(&o.passphrase, "passphrase-file", "", "file with the passphrase or PIN of the online keys (default systemd's credential "+credentialOnline+", where there is one)")
}

// maxPassphrase bounds the file.
const maxPassphrase = 1 << 10

// open makes the keys ready for as long as the service runs.
func (o *onlineFlags) open(c *central.Config) (done func() error, err error) {
	var opened []*keys.Key
	done = func() error {
		var errs []error
		for _, k := range opened {
			errs = append(errs, k.Close())
		}
		return errors.Join(errs...)
	}
	for _, ref := range o.keys {
		k, err := keys.Open(ref, o.ask)
		if err != nil {
			return nil, errors.Join(err, done())
		}
		opened = append(opened, k)
		c.Updates.Keys = append(c.Updates.Keys, k.Signer)
	}
	return done, nil
}

// credentialOnline is the name of systemd's credential with the passphrase.
const credentialOnline = "gatecentral.online"

func (o *onlineFlags) ask(string) ([]byte, error) {
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); o.passphrase == "" && dir != "" {
		o.passphrase = filepath.Join(dir, credentialOnline)
	}
	if o.passphrase == "" {
		return nil, errors.New("--passphrase-file names the file with its passphrase, or systemd's credential " + credentialOnline + " holds it")
	}
	info, err := os.Stat(o.passphrase)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	if info.Size() > maxPassphrase {
		return nil, fmt.Errorf("passphrase: %s has %d bytes: that is none", o.passphrase, info.Size())
	}
	text, err := os.ReadFile(o.passphrase)
	if err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	return bytes.TrimRight(text, "\r\n"), nil
}
