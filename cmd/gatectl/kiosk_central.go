package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/central/enrol"
	"gateagent/gate/wire"
)

// maxCarried bounds a request, bundle or key file that is read.
const maxCarried = 1 << 20

// centralTimeout bounds a command on central's state folder: the database may
// be busy with results, never for long.
const centralTimeout = 30 * time.Second

// centralFlags are the flags of commands that work on central's state folder.
type centralFlags struct {
	dir      string
	out      string
	brokers  []string
	listKeys []string
	sealing  string
	airport  string
	root     string
	limit    time.Duration // centralTimeout when 0
}

func (f *centralFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.dir, "central", "/var/lib/gatecentral", "central's state folder")
}

func (f *centralFlags) registerBundle(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.brokers, "broker", nil, "broker address tls://HOST:PORT, repeatable, in order of preference (default: what gatecentral announced)")
	cmd.Flags().StringArrayVar(&f.listKeys, "list-key", nil, "file with an Ed25519 public key that may sign allowlists (PEM, hex or base64), repeatable")
	cmd.Flags().StringVar(&f.sealing, "sealing", "", "how results are sealed: x25519, or x25519-mlkem768 also against quantum computers (default: as before, else x25519)")
	cmd.Flags().StringVar(&f.airport, "airport", "", "where the kiosk stands, like SGN: it gets the list secrets of that airport beside those of every one (default: as before)")
	cmd.Flags().StringVar(&f.root, "root", "", "root of the update repository that the kiosk begins with (default: the newest of central's repo folder, if there is one)")
	cmd.Flags().StringVarP(&f.out, "out", "o", "", "write the bundle to this file instead of standard output")
}

// open runs f on central's state folder, which must be there already unless
// gatecentral or an enrolment is to make it.
func (f *centralFlags) open(cmd *cobra.Command, do func(context.Context, *enrol.Registry) error) error {
	if _, err := os.Stat(filepath.Join(f.dir, enrol.CAFolder)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no central: start gatecentral there first, or name its folder with --central", f.dir)
	}
	if f.limit == 0 {
		f.limit = centralTimeout
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), f.limit)
	defer cancel()
	r, err := enrol.Open(ctx, f.dir)
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, r), r.Close())
}

// bundle makes a bundle and writes it.
func (f *centralFlags) bundle(cmd *cobra.Command, mk func(context.Context, *enrol.Registry, enrol.Options) (*wire.Bundle, error)) error {
	o := enrol.Options{Broker: f.brokers, Airport: f.airport}
	if f.root != "" {
		var err error
		if o.Root, err = readBounded(cmd, f.root); err != nil {
			return err
		}
	}
	if f.sealing != "" {
		var err error
		if o.Sealing, err = wire.ParseSuite(f.sealing); err != nil {
			return err
		}
	}
	for _, path := range f.listKeys {
		key, err := readPublicKey(path)
		if err != nil {
			return err
		}
		o.ListKeys = append(o.ListKeys, key)
	}
	return f.open(cmd, func(ctx context.Context, r *enrol.Registry) error {
		b, err := mk(ctx, r, o)
		if err != nil {
			return err
		}
		if err := output(cmd, f.out, b); err != nil {
			return err
		}
		hint := ""
		if len(b.ListKeys) == 0 {
			hint = "; it names no list key, so the kiosk will accept no allowlist (--list-key)"
		}
		if len(b.Root) > 0 {
			hint += fmt.Sprintf("; root of the update repository %x", sha256.Sum256(b.Root))
		}
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "bundle for kiosk %s: broker %v; central's key %s%s\n", b.Kiosk, b.Broker, fingerprint(b.AckKey), hint)
		return err
	})
}

// fingerprint names a public key so that two people can compare it.
func fingerprint(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

// readPublicKey reads an Ed25519 public key: PEM, 64 hex digits or base64.
func readPublicKey(path string) (ed25519.PublicKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("list key: %w", err)
	}
	if block, _ := pem.Decode(data); block != nil && block.Type == "PUBLIC KEY" {
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if pub, ok := key.(ed25519.PublicKey); err == nil && ok {
			return pub, nil
		}
	}
	text := strings.TrimSpace(string(data))
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString} {
		if raw, err := decode(text); err == nil && len(raw) == ed25519.PublicKeySize {
			return raw, nil
		}
	}
	return nil, fmt.Errorf("list key %s: no Ed25519 public key in PEM, hex or base64", path)
}

// readBounded reads a carried file, or standard input for "-".
func readBounded(cmd *cobra.Command, path string) (data []byte, err error) {
	if path == "-" {
		data, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxCarried+1))
	} else {
		var f *os.File
		if f, err = os.Open(path); err != nil {
			return nil, err
		}
		data, err = io.ReadAll(io.LimitReader(f, maxCarried+1))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(data) > maxCarried {
		return nil, fmt.Errorf("%s is larger than %d bytes: this is neither a request nor a bundle", path, maxCarried)
	}
	return data, nil
}
