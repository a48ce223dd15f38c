// Package ca is central's small certification authority: the CA under which
// kiosks, the broker and the fleet page show certificates, the key that signs
// acknowledgements, the keys of document references, and the keys to which
// kiosks seal results. It keeps them in one folder and knows nothing of who is enrolled.
package ca

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"gateagent/gate/wire"
)

// Lifetimes. A kiosk is renewed by hand, so its certificate lasts over a
// year; central renews its own by itself.
const (
	rootLife = 20 * 365 * 24 * time.Hour
	// BrokerLife is that of a certificate given to a broker of the operator.
	BrokerLife = 400 * 24 * time.Hour
	kioskLife  = 400 * 24 * time.Hour
	serverLife = 90 * 24 * time.Hour
	// clockSlack lets a kiosk accept a fresh certificate although its clock
	// is somewhat behind.
	clockSlack = time.Hour
)

// Organizational units tell what a certificate is for.
const (
	unitKiosk   = "gateagent kiosk"
	unitCentral = "gateagent central"
)

// Authority is the opened CA.
type Authority struct {
	dir  string
	root *x509.Certificate
	key  *ecdsa.PrivateKey
	ack  ed25519.PrivateKey
	open map[wire.Suite]*wire.OpenKey
	more []*wire.OpenKey // that were laid beside them
}

// Open reads the CA in dir and makes it on first use. Two processes may open
// it at once. A folder from which a key has vanished is an error: made anew
// in silence, no kiosk would know central any more.
func Open(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("CA folder: %w", err)
	}
	unlock, err := lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return nil, fmt.Errorf("CA folder %s: %w", dir, err)
	}
	defer unlock()
	a := &Authority{dir: dir}
	if _, err := os.Stat(a.path(fileRoot)); errors.Is(err, os.ErrNotExist) {
		if err := a.create(); err != nil {
			return nil, fmt.Errorf("make the CA in %s: %w", dir, err)
		}
	}
	if err := a.load(); err != nil {
		return nil, err
	}
	return a, a.sealing()
}

// lock takes an exclusive lock for the length of Open. Only the making of
// keys happens under it, so waiting is short.
func lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if time.Now().After(deadline) {
			_ = f.Close()
			return nil, errors.New("another process has held the lock for 10 s: see what runs on this folder")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// create makes what is missing; the root certificate, written last, marks the
// folder as complete.
func (a *Authority) create() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	_, ack, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	serial, err := newSerial()
	if err != nil {
		return err
	}
	now := time.Now()
	tmpl := &x509.Certificate{SerialNumber: serial,
		Subject:   pkix.Name{CommonName: "gateagent central CA " + serial.Text(16)[:8]},
		NotBefore: now.Add(-clockSlack), NotAfter: now.Add(rootLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return err
	}
	if err := writeKey(a.path(fileRootKey), key); err != nil {
		return err
	}
	if err := writeKey(a.path(fileAck), ack); err != nil {
		return err
	}
	return writePrivate(a.path(fileRoot), certPEM(der))
}

// Root gives the CA certificate.
func (a *Authority) Root() *x509.Certificate { return a.root }

// RootPEM gives the CA certificate as PEM.
func (a *Authority) RootPEM() []byte { return certPEM(a.root.Raw) }

// Pool holds the CA certificate alone.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.root)
	return p
}

// AckKey signs acknowledgements.
func (a *Authority) AckKey() ed25519.PrivateKey { return a.ack }

// SignKiosk certifies the TLS key in a parsed request for TLS client use.
func (a *Authority) SignKiosk(r *wire.Request, now time.Time) (*x509.Certificate, error) {
	csr, err := r.ParseCSR()
	if err != nil {
		return nil, err
	}
	return a.issue(&x509.Certificate{
		Subject:  pkix.Name{CommonName: r.Kiosk, OrganizationalUnit: []string{unitKiosk}},
		NotAfter: now.Add(kioskLife), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, csr.PublicKey, now)
}

// Enrolled is what a bundle says beside the kiosk's certificate.
type Enrolled struct {
	Broker      []string
	ListKeys    [][]byte
	ListSecrets *wire.ListSecretSet
	Root        []byte // of the update repository; empty: there is none
	Sealing     wire.Suite
}

// Bundle makes the signed bundle for a kiosk.
func (a *Authority) Bundle(r *wire.Request, cert *x509.Certificate, e Enrolled, now time.Time) (*wire.Bundle, error) {
	docs, err := a.DocKeys(now)
	if err != nil {
		return nil, err
	}
	sealed, err := docs.Seal(r.Kiosk, r.SealKey)
	if err != nil {
		return nil, err
	}
	var secrets []byte
	if len(e.ListSecrets.Secrets) > 0 {
		if secrets, err = e.ListSecrets.Seal(r.Kiosk, r.SealKey); err != nil {
			return nil, err
		}
	}
	open := a.open[e.Sealing]
	if open == nil {
		return nil, fmt.Errorf("bundle for kiosk %s: there is no key of %s", r.Kiosk, e.Sealing)
	}
	b := &wire.Bundle{V: wire.BundleVersion, Kiosk: r.Kiosk, Issued: now.UTC().Truncate(time.Millisecond),
		Certificate: string(certPEM(cert.Raw)), CA: string(a.RootPEM()),
		Broker: e.Broker, ListKeys: e.ListKeys, DocKeys: sealed, SealingKey: open.Public().Bytes(),
		ListSecrets: secrets, Root: e.Root}
	b.Sign(a.ack)
	return b, nil
}

// RevocationList makes a certificate revocation list, PEM, for brokers other
// than the embedded one.
func (a *Authority) RevocationList(serials []*big.Int, now time.Time) ([]byte, error) {
	list := &x509.RevocationList{Number: big.NewInt(now.Unix()), ThisUpdate: now, NextUpdate: now.Add(rootLife)}
	for _, s := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: s, RevocationTime: now})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.root, a.key)
	if err != nil {
		return nil, fmt.Errorf("make revocation list: %w", err)
	}
	return crlPEM(der), nil
}

// issue completes and signs a certificate for an end entity.
func (a *Authority) issue(tmpl *x509.Certificate, pub any, now time.Time) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	tmpl.SerialNumber = serial
	tmpl.NotBefore = now.Add(-clockSlack)
	tmpl.BasicConstraintsValid = true
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	if tmpl.NotAfter.After(a.root.NotAfter) {
		tmpl.NotAfter = a.root.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.root, pub, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate for %s: %w", tmpl.Subject.CommonName, err)
	}
	return x509.ParseCertificate(der)
}

// newSerial gives 120 random bits with the top bit set, so that a serial is
// always 15 bytes long and positive (RFC 5280 section 4.1.2.2 allows 20).
func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 119))
	if err != nil {
		return nil, err
	}
	return n.SetBit(n, 119, 1), nil
}
