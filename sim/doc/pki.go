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
	Generation  int       // other keys under the same name
	Habits      CertHabits
}

// CertHabits are peculiarities of certificates found in the field.
type CertHabits struct {
	NegativeSerial bool // signers have serial numbers below zero
	NoKeyIDs       bool // neither authority nor subject key identifiers
	NoConstraints  bool // the CSCA has no basic constraints
	NotCA          bool // the CSCA's basic constraints say that it is no CA
	LooseNames     bool // signers write the issuer's name in another way
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
	parts := [][]byte{seedBytes(seed), []byte("csca"), []byte(cfg.Country), []byte(cfg.Name)}
	if cfg.Generation != 0 {
		parts = append(parts, seedBytes(int64(cfg.Generation)))
	}
	k, err := newKey(stream(parts...), cfg.CA)
	if err != nil {
		return nil, err
	}
	a := &Authority{Config: cfg, key: k, name: distinguishedName(cfg.Country, organisation, cfg.Name)}
	a.Certificate, err = a.certify(certificate{
		subject: a.name, key: k, serial: serialFor(k, cfg.Name), from: cfg.From, until: cfg.Until, ca: true, habits: cfg.Habits,
	})
	return a, err
}

// organisation of all names.
const organisation = "Simulated issuing authority"

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
	usage       string // extended key usage, an object identifier
	habits      CertHabits
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
	var out [][]byte
	if !c.habits.NoKeyIDs {
		out = append(out,
			extension("2.5.29.35", false, seq(ber.Make(0x80, issuerKeyID))),
			extension("2.5.29.14", false, octets(c.key.keyID())))
	}
	if !c.ca {
		out = append(out, extension("2.5.29.15", true, ber.Make(ber.BitString, []byte{7, 0x80})))
		if c.usage != "" {
			out = append(out, extension("2.5.29.37", true, seq(oid(c.usage))))
		}
		return out
	}
	out = append(out, extension("2.5.29.15", true, ber.Make(ber.BitString, []byte{1, 0x06})))
	switch {
	case c.habits.NoConstraints:
		return out
	case c.habits.NotCA:
		return append(out, extension("2.5.29.19", true, seq()))
	}
	return append(out, extension("2.5.29.19", true, seq(ber.Make(ber.Boolean, []byte{0xFF}), smallInt(0))))
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
	return a.newSigner(name, from, until, a.key, "")
}

// Extended key usages of those who sign lists (ICAO 9303-12 section 7.1.1 and
// BSI TR-03129-2 section 7.2).
const (
	MasterListUsage = "2.23.136.1.1.3"
	DefectListUsage = "0.4.0.127.0.7.3.11.2.1.2"
)

// NewListSigner issues a signer of lists with one of these usages.
func (a *Authority) NewListSigner(name, usage string) (*Signer, error) {
	return a.newSigner(name, time.Time{}, time.Time{}, a.key, usage)
}

// ForgeSigner makes a signer that names the authority as its issuer, key
// identifier included, but that the authority never signed.
func (a *Authority) ForgeSigner(name string) (*Signer, error) {
	by, err := a.forger()
	if err != nil {
		return nil, err
	}
	return a.newSigner(name, time.Time{}, time.Time{}, by, "")
}

// forger is a key that signs in the authority's name and is not its own.
func (a *Authority) forger() (*key, error) {
	return newKey(stream(a.key.d.Bytes(), []byte("forger")), a.Config.CA)
}

func (a *Authority) newSigner(name string, from, until time.Time, by *key, usage string) (*Signer, error) {
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
	if a.Config.Habits.NegativeSerial {
		s.Serial.Neg(s.Serial)
	}
	if a.Config.Habits.LooseNames {
		s.issuer = loosely(a.Config.Country, organisation, a.Config.Name)
	}
	s.Certificate, err = certifyAs(s.issuer, a.key.keyID(), by, certificate{
		subject: distinguishedName(a.Config.Country, organisation, name),
		key:     k, serial: s.Serial, from: from, until: until, usage: usage, habits: a.Config.Habits,
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
