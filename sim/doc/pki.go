package doc

import (
	"crypto"
	"encoding/binary"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"gateagent/internal/ber"
)

// AuthorityConfig describes one country certificate authority (CSCA).
type AuthorityConfig struct {
	Country     string // two letters, as in the certificate: "VN", "UT"
	Name        string // common name
	CA          Algorithm
	Signer      Algorithm // of the document signers
	From, Until time.Time // validity of CA and signers; zero: 2020 to 2044
}

// Authority is a country certificate authority.
type Authority struct {
	Config      AuthorityConfig
	Certificate []byte // self-signed, DER
	key         *key
	name        []byte
}

// Validity of certificates where a config says nothing. They are fixed so
// that a world is the same on every day.
var (
	defaultFrom  = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	defaultUntil = time.Date(2044, 12, 31, 23, 59, 59, 0, time.UTC)
)

// NewAuthority makes a CSCA whose keys follow from seed and its own name.
func NewAuthority(seed int64, cfg AuthorityConfig) (*Authority, error) {
	if cfg.From.IsZero() {
		cfg.From = defaultFrom
	}
	if cfg.Until.IsZero() {
		cfg.Until = defaultUntil
	}
	k, err := newKey(stream(seedBytes(seed), []byte("csca"), []byte(cfg.Country), []byte(cfg.Name)), cfg.CA)
	if err != nil {
		return nil, err
	}
	a := &Authority{Config: cfg, key: k, name: distinguishedName(cfg.Country, "Simulated issuing authority", cfg.Name)}
	a.Certificate, err = a.certify(certificate{
		subject: a.name, key: k, serial: serialFor(k, cfg.Name), from: cfg.From, until: cfg.Until, ca: true,
	})
	return a, err
}

func seedBytes(seed int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(seed)) }

// serialFor gives the serial number of the certificate that an issuer's key
// gives to a name: known before the subject has a key, so that a CRL can list
// a signer that was never made.
func serialFor(issuer *key, name string) *big.Int {
	return new(big.Int).SetBytes(append([]byte{0x01}, digest(crypto.SHA256, issuer.publicBits(), []byte(name))[:8]...))
}

type certificate struct {
	subject     []byte
	key         *key
	serial      *big.Int
	from, until time.Time
	ca          bool
}

// certify issues a certificate after the profiles of ICAO 9303-12 section
// 7.1 (CSCA) and 7.1.1 (document signer).
func (a *Authority) certify(c certificate) ([]byte, error) {
	return certifyAs(a.name, a.key.keyID(), a.key, c)
}

// certifyAs signs with any key in the name of any issuer; forgers need it.
func certifyAs(issuer, issuerKeyID []byte, by *key, c certificate) ([]byte, error) {
	alg, err := by.signatureAlgorithm()
	if err != nil {
		return nil, err
	}
	tbs := seq(
		ber.Make(0xA0, smallInt(2)),
		integer(c.serial),
		alg,
		issuer,
		seq(asn1Time(c.from), asn1Time(c.until)),
		c.subject,
		c.key.spki(),
		ber.Make(0xA3, seq(extensions(c, issuerKeyID)...)),
	)
	return by.signedStructure(tbs)
}

func extension(id string, critical bool, value []byte) []byte {
	if critical {
		return seq(oid(id), ber.Make(ber.Boolean, []byte{0xFF}), octets(value))
	}
	return seq(oid(id), octets(value))
}

func extensions(c certificate, issuerKeyID []byte) [][]byte {
	out := [][]byte{
		extension("2.5.29.35", false, seq(ber.Make(0x80, issuerKeyID))),
		extension("2.5.29.14", false, octets(c.key.keyID())),
	}
	if !c.ca {
		return append(out, extension("2.5.29.15", true, ber.Make(ber.BitString, []byte{7, 0x80})))
	}
	return append(out,
		extension("2.5.29.15", true, ber.Make(ber.BitString, []byte{1, 0x06})),
		extension("2.5.29.19", true, seq(ber.Make(ber.Boolean, []byte{0xFF}), smallInt(0))))
}

// Signer is a document signer (DS).
type Signer struct {
	Certificate []byte
	Serial      *big.Int
	issuer      []byte
	key         *key
}

// NewSigner issues the document signer of the given name; the zero times
// take the authority's validity. The same name gives the same signer.
func (a *Authority) NewSigner(name string, from, until time.Time) (*Signer, error) {
	return a.newSigner(name, from, until, a.key)
}

// ForgeSigner makes a signer that names the authority as its issuer, key
// identifier included, but that the authority never signed.
func (a *Authority) ForgeSigner(name string) (*Signer, error) {
	by, err := newKey(stream(a.key.d.Bytes(), []byte("forger")), a.Config.CA)
	if err != nil {
		return nil, err
	}
	return a.newSigner(name, time.Time{}, time.Time{}, by)
}

func (a *Authority) newSigner(name string, from, until time.Time, by *key) (*Signer, error) {
	if from.IsZero() {
		from = a.Config.From
	}
	if until.IsZero() {
		until = a.Config.Until
	}
	k, err := newKey(stream(by.d.Bytes(), []byte("signer"), []byte(name)), a.Config.Signer)
	if err != nil {
		return nil, err
	}
	s := &Signer{Serial: serialFor(a.key, name), issuer: a.name, key: k}
	s.Certificate, err = certifyAs(a.name, a.key.keyID(), by, certificate{
		subject: distinguishedName(a.Config.Country, "Simulated issuing authority", name),
		key:     k, serial: s.Serial, from: from, until: until,
	})
	return s, err
}

// Link issues a link certificate: next's name and key under a's signature
// (ICAO 9303-12 section 4.3).
func (a *Authority) Link(next *Authority) ([]byte, error) {
	return a.certify(certificate{
		subject: next.name, key: next.key, serial: serialFor(a.key, next.Config.Name),
		from: next.Config.From, until: next.Config.Until, ca: true,
	})
}

// CRL issues the authority's revocation list (ICAO 9303-12 section 7.1.4),
// listing the given serial numbers.
func (a *Authority) CRL(this, next time.Time, number int, revoked ...*big.Int) ([]byte, error) {
	alg, err := a.key.signatureAlgorithm()
	if err != nil {
		return nil, err
	}
	parts := [][]byte{smallInt(1), alg, a.name, asn1Time(this), asn1Time(next)}
	var entries [][]byte
	for _, serial := range revoked {
		entries = append(entries, seq(integer(serial), asn1Time(this)))
	}
	if len(entries) > 0 {
		parts = append(parts, seq(entries...))
	}
	parts = append(parts, ber.Make(0xA0, seq(
		extension("2.5.29.35", false, seq(ber.Make(0x80, a.key.keyID()))),
		extension("2.5.29.20", false, smallInt(number)),
	)))
	return a.key.signedStructure(seq(parts...))
}

// Write puts the CSCA certificate into a trust folder as NAME.cer.
func (a *Authority) Write(dir string) error {
	return os.WriteFile(filepath.Join(dir, a.fileName()+".cer"), a.Certificate, 0o644)
}

// WriteCRL puts a revocation list into a trust folder, valid as long as the
// authority itself.
func (a *Authority) WriteCRL(dir string, revoked ...*big.Int) error {
	crl, err := a.CRL(a.Config.From, a.Config.Until, 1, revoked...)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, a.fileName()+".crl"), crl, 0o644)
}

func (a *Authority) fileName() string {
	out := []byte(a.Config.Country + "-" + a.Config.Name)
	for i, c := range out {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			out[i] = '-'
		}
	}
	return string(out)
}
