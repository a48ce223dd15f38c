// Package enrol takes kiosks into central's fleet and out of it: it joins the
// CA, which signs, with the database, which remembers. It works on central's
// state folder whether the service runs or not; the service looks into the
// database at every connection and every batch, so a change counts at once.
package enrol

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"gateagent/central/ca"
	"gateagent/central/store"
	"gateagent/gate/wire"
)

// CAFolder is the CA's folder inside central's state folder.
const CAFolder = "ca"

// settingBroker is the broker address that the service announced last.
const settingBroker = "broker"

// settingSealing, with the name of a kiosk, is how it seals.
const settingSealing = "sealing/"

// settingRevoked are the numbers of brokers' certificates that are revoked.
const settingRevoked = "revoked brokers"

// Registry is central's state folder, opened.
type Registry struct {
	CA    *ca.Authority
	Store *store.Store

	dir string
}

// Open opens central's state folder and makes CA and database on first use.
func Open(ctx context.Context, dir string) (*Registry, error) {
	authority, err := ca.Open(filepath.Join(dir, CAFolder))
	if err != nil {
		return nil, err
	}
	st, err := store.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	return &Registry{CA: authority, Store: st, dir: dir}, nil
}

// Close closes the database.
func (r *Registry) Close() error { return r.Store.Close() }

// Options of an enrolment. Empty lists mean: as before, or the broker that
// the service announced last.
type Options struct {
	Broker   []string // tls://host:port
	ListKeys [][]byte // Ed25519 public keys that may sign allowlists
	Replace  bool     // enrol a kiosk of that name anew, with other keys
	// Sealing is how the kiosk seals its results; 0: as before, or
	// wire.SuiteX25519.
	Sealing wire.Suite
	// Airport is whose list secrets the kiosk gets (IATA code), beside those of
	// lists for every airport; empty: as before.
	Airport string
	// Root is the root of the update repository that the kiosk begins with;
	// empty: the newest of the repository in central's state folder, if any.
	Root []byte
}

// Announce remembers the broker address that bundles carry unless they are
// told another.
func (r *Registry) Announce(ctx context.Context, broker string) error {
	return r.Store.SetSetting(ctx, settingBroker, broker)
}

// Add enrols the kiosk of a request (as read from its file) and returns its
// bundle.
func (r *Registry) Add(ctx context.Context, request []byte, o Options, now time.Time) (*wire.Bundle, error) {
	req, err := wire.ParseRequest(request)
	if err != nil {
		return nil, err
	}
	if o.Broker, err = r.broker(ctx, o.Broker); err != nil {
		return nil, err
	}
	cert, err := r.CA.SignKiosk(req, now)
	if err != nil {
		return nil, err
	}
	err = r.Store.AddKiosk(ctx, store.Kiosk{Name: req.Kiosk, Request: request, SigningKey: req.SigningKey,
		Broker: o.Broker, ListKeys: o.ListKeys, Added: now}, record(cert), o.Replace)
	if errors.Is(err, store.ErrExists) {
		return nil, fmt.Errorf("kiosk %s: %w: renew it, or replace its keys with --replace", req.Kiosk, err)
	}
	if err != nil {
		return nil, fmt.Errorf("enrol kiosk %s: %w", req.Kiosk, err)
	}
	return r.bundle(ctx, req, cert, store.Kiosk{Name: req.Kiosk, Broker: o.Broker, ListKeys: o.ListKeys}, o, now)
}

// Renew makes a fresh certificate over the keys that a kiosk was enrolled
// with, and a new bundle.
func (r *Registry) Renew(ctx context.Context, name string, o Options, now time.Time) (*wire.Bundle, error) {
	k, err := r.Store.Kiosk(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("kiosk %s: %w", name, err)
	}
	if !k.Revoked.IsZero() {
		return nil, fmt.Errorf("kiosk %s was revoked on %s: enrol it anew with a fresh request and --replace", name, k.Revoked.Format(time.DateOnly))
	}
	req, err := wire.ParseRequest(k.Request)
	if err != nil {
		return nil, fmt.Errorf("the stored request: %w", err)
	}
	if len(o.Broker) > 0 {
		if k.Broker, err = r.broker(ctx, o.Broker); err != nil {
			return nil, err
		}
	}
	if len(o.ListKeys) > 0 {
		k.ListKeys = o.ListKeys
	}
	cert, err := r.CA.SignKiosk(req, now)
	if err != nil {
		return nil, err
	}
	if err := r.Store.RenewKiosk(ctx, k, record(cert)); err != nil {
		return nil, fmt.Errorf("renew kiosk %s: %w", name, err)
	}
	return r.bundle(ctx, req, cert, k, o, now)
}

// bundle makes the bundle with the way of sealing that is asked for, or that
// the kiosk had before.
func (r *Registry) bundle(ctx context.Context, req *wire.Request, cert *x509.Certificate, k store.Kiosk, o Options, now time.Time) (*wire.Bundle, error) {
	seal := o.Sealing
	setting := settingSealing + k.Name
	before, err := r.Store.Setting(ctx, setting)
	switch {
	case err != nil:
		return nil, err
	case seal != 0:
		err = r.Store.SetSetting(ctx, setting, seal.String())
	case before != "":
		seal, err = wire.ParseSuite(before)
	default:
		seal = wire.SuiteX25519
	}
	if err != nil {
		return nil, err
	}
	if o.Airport != "" {
		if err := r.setAirport(ctx, k.Name, o.Airport); err != nil {
			return nil, err
		}
	}
	e := ca.Enrolled{Broker: k.Broker, ListKeys: k.ListKeys, Sealing: seal, Root: o.Root}
	all, err := r.CA.ListSecrets(now)
	if err != nil {
		return nil, err
	}
	defer all.Wipe()
	airport, err := r.Airport(ctx, k.Name)
	if err != nil {
		return nil, err
	}
	e.ListSecrets = all.For(airport)
	if len(e.Root) == 0 {
		if e.Root, err = r.newestRoot(); err != nil {
			return nil, err
		}
	}
	if len(e.Root) > maxBundledRoot {
		return nil, fmt.Errorf("root of the update repository: %d bytes, at most %d go into a bundle: is it a root?", len(e.Root), maxBundledRoot)
	}
	return r.CA.Bundle(req, cert, e, now)
}

// Revoke takes a kiosk out of the fleet. The key of document references that it
// knows ends with it.
func (r *Registry) Revoke(ctx context.Context, name, why string, now time.Time) error {
	if err := r.Store.RevokeKiosk(ctx, name, why, now); err != nil {
		return fmt.Errorf("kiosk %s: %w", name, err)
	}
	if _, err := r.CA.RotateDocKeys(now, 0); err != nil {
		return fmt.Errorf("kiosk %s is revoked, but it knows the key of document references, which could not be changed: %w", name, err)
	}
	return nil
}

// DocKeys makes the command that brings the present keys of document references
// to a kiosk.
func (r *Registry) DocKeys(ctx context.Context, kiosk string, set *wire.DocKeySet) (*wire.Command, error) {
	_, sealKey, err := r.sealKey(ctx, kiosk)
	if err != nil {
		return nil, err
	}
	return set.Command(kiosk, sealKey, r.CA.AckKey())
}

// sealKey finds a kiosk, the revoked ones too, and the key that it enrolled
// for what only it may open.
func (r *Registry) sealKey(ctx context.Context, kiosk string) (store.Kiosk, []byte, error) {
	k, err := r.Store.Kiosk(ctx, kiosk)
	if err != nil {
		return k, nil, fmt.Errorf("kiosk %s: %w", kiosk, err)
	}
	req, err := wire.ParseRequest(k.Request)
	if err != nil {
		return k, nil, fmt.Errorf("the stored request: %w", err)
	}
	return k, req.SealKey, nil
}

// List gives every kiosk, by name, the revoked ones too.
func (r *Registry) List(ctx context.Context) ([]store.Kiosk, error) { return r.Store.Kiosks(ctx) }

// RevocationList gives the revoked certificates as a PEM list: those of kiosks
// for brokers other than the embedded one, those of brokers for kiosks.
func (r *Registry) RevocationList(ctx context.Context, now time.Time) ([]byte, error) {
	serials, err := r.Store.RevokedSerials(ctx)
	if err != nil {
		return nil, err
	}
	brokers, err := r.Store.Setting(ctx, settingRevoked)
	if err != nil {
		return nil, err
	}
	var all []*big.Int
	for _, s := range append(serials, strings.Fields(brokers)...) {
		n, ok := new(big.Int).SetString(s, 16)
		if !ok {
			return nil, fmt.Errorf("revoked certificate %q: no serial number", s)
		}
		all = append(all, n)
	}
	return r.CA.RevocationList(all, now)
}

// broker checks the given addresses, or takes the announced one.
func (r *Registry) broker(ctx context.Context, given []string) ([]string, error) {
	if len(given) == 0 {
		announced, err := r.Store.Setting(ctx, settingBroker)
		if err != nil {
			return nil, err
		}
		if announced == "" {
			return nil, errors.New("no broker address: give --broker tls://HOST:PORT, or start gatecentral once, which announces its own")
		}
		given = []string{announced}
	}
	for _, addr := range given {
		u, err := url.Parse(addr)
		if err != nil || u.Scheme != "tls" || u.Hostname() == "" || u.Port() == "" {
			return nil, fmt.Errorf("broker address %q: write it as tls://HOST:PORT", addr)
		}
	}
	return given, nil
}

// Serial writes a certificate's number as the database keeps it.
func Serial(c *x509.Certificate) string { return c.SerialNumber.Text(16) }

func record(c *x509.Certificate) store.Certificate {
	return store.Certificate{Serial: Serial(c), Kiosk: c.Subject.CommonName, Issued: c.NotBefore, NotAfter: c.NotAfter}
}

// Encode writes a bundle or request as the file that is carried.
func Encode(v any) ([]byte, error) {
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(out, '\n'), nil
}
