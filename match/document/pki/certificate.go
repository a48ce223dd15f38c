package pki

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"slices"
	"time"

	"gateagent/internal/ber"
)

// Certificate is an X.509 certificate (RFC 5280 section 4.1). Its byte slices
// alias the input of ParseCertificate.
type Certificate struct {
	Raw, TBS            []byte
	Serial              []byte // content of the INTEGER without leading zeros
	Issuer, Subject     Name
	NotBefore, NotAfter time.Time
	// Key is nil where KeyErr says why.
	Key    *PublicKey
	KeyErr error
	// Algorithm and Signature are what the issuer signed with; the former
	// is usable only where AlgorithmErr is nil.
	Algorithm    Algorithm
	AlgorithmErr error
	Signature    []byte

	SubjectKeyID, AuthorityKeyID []byte
	KeyUsage                     KeyUsage
	CA                           bool // basic constraints say so
	ExtendedKeyUsage             []string
}

// KeyUsage is the key usage extension, first bit highest (RFC 5280 section
// 4.2.1.3), with Present set where the certificate has it.
type KeyUsage struct {
	Present bool
	bits    uint16
}

// May says whether the usage at the bit is allowed. A certificate without the
// extension allows everything.
func (u KeyUsage) May(bit int) bool { return !u.Present || u.bits&(0x8000>>bit) != 0 }

// Bits of KeyUsage.
const (
	UsageDigitalSignature = 0
	UsageCertSign         = 5
	UsageCRLSign          = 6
)

// maxCertificate bounds one certificate.
const maxCertificate = 64 << 10

// ParseCertificate reads one DER certificate. A key or a signature algorithm
// that is not known here does not stop it.
func ParseCertificate(der []byte) (*Certificate, error) {
	if len(der) > maxCertificate {
		return nil, fmt.Errorf("certificate of %d bytes", len(der))
	}
	r := open(der, ber.Sequence)
	tbs := r.expect(ber.Sequence)
	alg := r.expect(ber.Sequence)
	sig := r.expect(ber.BitString)
	if r.err != nil {
		return nil, fmt.Errorf("certificate: %w", r.err)
	}
	if len(sig.Value) < 1 || sig.Value[0] != 0 {
		return nil, errors.New("certificate: malformed signature")
	}
	c := &Certificate{Raw: der, TBS: tbs.Raw, Signature: sig.Value[1:]}
	c.Algorithm, c.AlgorithmErr = ParseAlgorithm(alg.Raw, 0)
	if err := c.parseTBS(tbs.Value, alg.Raw); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return c, nil
}

func (c *Certificate) parseTBS(value, outer []byte) error {
	r := &reader{rest: value}
	r.optional(0xA0) // version; extensions speak for themselves
	serial := r.expect(ber.Integer)
	inner := r.expect(ber.Sequence)
	issuer := r.expect(ber.Sequence)
	validity := r.expect(ber.Sequence)
	subject := r.expect(ber.Sequence)
	key := r.expect(ber.Sequence)
	r.optional(0x81) // unique identifiers
	r.optional(0x82)
	extensions, _ := r.optional(0xA3)
	if r.err != nil {
		return r.err
	}
	c.Serial = trimSerial(serial.Value)
	if !sameAlgorithm(inner.Raw, outer) {
		return errors.New("two different signature algorithms are named")
	}
	var err error
	if c.Issuer, err = parseName(issuer.Raw); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if c.Subject, err = parseName(subject.Raw); err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	if err := c.parseValidity(validity.Value); err != nil {
		return err
	}
	c.Key, c.KeyErr = ParseKey(key.Raw)
	if c.KeyErr != nil && !errors.Is(c.KeyErr, ErrUnsupported) {
		return c.KeyErr
	}
	if extensions.Raw == nil {
		return nil
	}
	return eachExtension(extensions.Value, c.extension)
}

// sameAlgorithm compares the algorithm inside and outside the signed part
// (RFC 5280 section 4.1.1.2) by name; a NULL may be missing on one side.
func sameAlgorithm(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, px, errX := algorithm(a)
	y, py, errY := algorithm(b)
	null := func(p []byte) bool { return len(p) == 0 || len(p) == 2 && p[0] == ber.Null }
	return errX == nil && errY == nil && x == y && null(px) && null(py)
}

func (c *Certificate) parseValidity(value []byte) error {
	r := &reader{rest: value}
	from, until := r.next(), r.next()
	if r.err != nil {
		return fmt.Errorf("validity: %w", r.err)
	}
	var err error
	if c.NotBefore, err = parseTime(from); err != nil {
		return fmt.Errorf("not before: %w", err)
	}
	if c.NotAfter, err = parseTime(until); err != nil {
		return fmt.Errorf("not after: %w", err)
	}
	return nil
}

// eachExtension walks Extensions.
func eachExtension(value []byte, take func(oid string, critical bool, value []byte) error) error {
	r := open(value, ber.Sequence)
	for r.err == nil && len(r.rest) > 0 {
		e := &reader{rest: r.expect(ber.Sequence).Value}
		oid, err := OID(e.expect(ber.OID).Value)
		flag, _ := e.optional(ber.Boolean)
		v := e.expect(ber.OctetString)
		if e.err != nil || err != nil {
			return fmt.Errorf("extension: %w", errors.Join(e.err, err))
		}
		critical := len(flag.Value) == 1 && flag.Value[0] != 0
		if err := take(oid, critical, v.Value); err != nil {
			return fmt.Errorf("extension %s: %w", oid, err)
		}
	}
	return r.err
}

// extension takes the extensions that are judged here. Content that does not
// parse is left out rather than refused: basic constraints are malformed in
// certificates in use, and what is absent grants nothing.
func (c *Certificate) extension(oid string, _ bool, value []byte) error {
	switch oid {
	case "2.5.29.14":
		if id, err := ber.Expect(value, ber.OctetString); err == nil {
			c.SubjectKeyID = id
		}
	case "2.5.29.35":
		c.AuthorityKeyID = keyID(value)
	case "2.5.29.15":
		c.KeyUsage = parseUsage(value)
	case "2.5.29.19":
		r := open(value, ber.Sequence)
		flag, ok := r.optional(ber.Boolean)
		c.CA = ok && len(flag.Value) == 1 && flag.Value[0] != 0
	case "2.5.29.37":
		r := open(value, ber.Sequence)
		for r.err == nil && len(r.rest) > 0 {
			if use, err := OID(r.expect(ber.OID).Value); err == nil {
				c.ExtendedKeyUsage = append(c.ExtendedKeyUsage, use)
			}
		}
	}
	return nil
}

// keyID takes the key identifier from AuthorityKeyIdentifier.
func keyID(value []byte) []byte {
	r := open(value, ber.Sequence)
	id, _ := r.optional(0x80)
	return id.Value
}

func parseUsage(value []byte) KeyUsage {
	u := KeyUsage{Present: true}
	v, err := ber.Expect(value, ber.BitString)
	if err != nil {
		return u // present and unreadable: allows nothing
	}
	if len(v) > 1 {
		u.bits = uint16(v[1]) << 8
	}
	if len(v) > 2 {
		u.bits |= uint16(v[2])
	}
	return u
}

// trimSerial makes serial numbers comparable: issuers differ over leading
// zeros, and negative ones exist.
func trimSerial(v []byte) []byte {
	for len(v) > 1 && v[0] == 0 {
		v = v[1:]
	}
	return v
}

// SelfIssued says whether issuer and subject are the same name.
func (c *Certificate) SelfIssued() bool { return c.Issuer.Key == c.Subject.Key }

// ValidAt says whether t lies in the validity period.
func (c *Certificate) ValidAt(t time.Time) bool {
	return !t.Before(c.NotBefore) && !t.After(c.NotAfter)
}

// HasKeyID says whether id names this certificate's key: by its extension, or
// by the SHA-1 of the key where it has none (RFC 5280 section 4.2.1.2).
func (c *Certificate) HasKeyID(id []byte) bool {
	if len(id) == 0 {
		return false
	}
	return bytes.Equal(id, c.KeyID())
}

// KeyID gives the subject key identifier, computed where the certificate does
// not state one; nil for a key that is not known here.
func (c *Certificate) KeyID() []byte {
	if len(c.SubjectKeyID) > 0 || c.Key == nil {
		return c.SubjectKeyID
	}
	sum := sha1.Sum(c.Key.bits)
	return sum[:]
}

// Uses says whether the extended key usage names the purpose.
func (c *Certificate) Uses(oid string) bool { return slices.Contains(c.ExtendedKeyUsage, oid) }

// CheckSignatureFrom verifies this certificate's signature with the key of
// the issuer's. Names, validity and usage are the caller's to judge.
func (c *Certificate) CheckSignatureFrom(issuer *Certificate) error {
	if c.AlgorithmErr != nil {
		return c.AlgorithmErr
	}
	if issuer.KeyErr != nil {
		return issuer.KeyErr
	}
	return issuer.Key.Verify(c.Algorithm, c.TBS, c.Signature)
}
