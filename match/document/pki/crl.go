package pki

import (
	"errors"
	"fmt"
	"time"

	"gateagent/internal/ber"
)

// CRL is a certificate revocation list (RFC 5280 section 5.1, ICAO 9303-12
// section 7.1.4).
type CRL struct {
	Issuer         Name
	ThisUpdate     time.Time
	NextUpdate     time.Time // zero where the list does not say
	AuthorityKeyID []byte
	// Partial lists (delta CRLs, lists with a scope of their own) revoke,
	// but their silence proves nothing.
	Partial bool

	tbs          []byte
	signature    []byte
	algorithm    Algorithm
	algorithmErr error
	revoked      map[string]struct{}
}

// ParseCRL reads one DER revocation list.
func ParseCRL(der []byte) (*CRL, error) {
	r := open(der, ber.Sequence)
	tbs := r.expect(ber.Sequence)
	alg := r.expect(ber.Sequence)
	sig := r.expect(ber.BitString)
	if r.err != nil {
		return nil, fmt.Errorf("CRL: %w", r.err)
	}
	if len(sig.Value) < 1 || sig.Value[0] != 0 {
		return nil, errors.New("CRL: malformed signature")
	}
	l := &CRL{tbs: tbs.Raw, signature: sig.Value[1:], revoked: map[string]struct{}{}}
	l.algorithm, l.algorithmErr = ParseAlgorithm(alg.Raw, 0)
	if err := l.parseTBS(tbs.Value, alg.Raw); err != nil {
		return nil, fmt.Errorf("CRL: %w", err)
	}
	return l, nil
}

func (l *CRL) parseTBS(value, outer []byte) error {
	r := &reader{rest: value}
	r.optional(ber.Integer)
	inner := r.expect(ber.Sequence)
	issuer := r.expect(ber.Sequence)
	this := r.next()
	if r.err != nil {
		return r.err
	}
	if !sameAlgorithm(inner.Raw, outer) {
		return errors.New("two different signature algorithms are named")
	}
	var err error
	if l.Issuer, err = parseName(issuer.Raw); err != nil {
		return err
	}
	if l.ThisUpdate, err = parseTime(this); err != nil {
		return err
	}
	if tag := r.peek(); tag == ber.UTCTime || tag == ber.GeneralizedTime {
		if l.NextUpdate, err = parseTime(r.next()); err != nil {
			return err
		}
	}
	if list, ok := r.optional(ber.Sequence); ok {
		if err := l.parseEntries(list.Value); err != nil {
			return err
		}
	}
	if ext, ok := r.optional(0xA0); ok {
		return eachExtension(ext.Value, l.extension)
	}
	return r.err
}

func (l *CRL) parseEntries(value []byte) error {
	r := &reader{rest: value}
	for r.err == nil && len(r.rest) > 0 {
		e := &reader{rest: r.expect(ber.Sequence).Value}
		serial := e.expect(ber.Integer)
		if e.err != nil {
			return e.err
		}
		l.revoked[string(trimSerial(serial.Value))] = struct{}{}
	}
	return r.err
}

func (l *CRL) extension(oid string, critical bool, value []byte) error {
	switch oid {
	case "2.5.29.35":
		l.AuthorityKeyID = keyID(value)
	case "2.5.29.20": // CRL number
	case "2.5.29.27", "2.5.29.28": // delta indicator, issuing distribution point
		l.Partial = true
	default:
		l.Partial = l.Partial || critical
	}
	return nil
}

// Revokes says whether the list names a certificate of its issuer by serial
// number.
func (l *CRL) Revokes(serial []byte) bool {
	_, ok := l.revoked[string(trimSerial(serial))]
	return ok
}

// Len is the number of revoked certificates.
func (l *CRL) Len() int { return len(l.revoked) }

// CheckSignatureFrom verifies the list's signature.
func (l *CRL) CheckSignatureFrom(issuer *Certificate) error {
	if l.algorithmErr != nil {
		return l.algorithmErr
	}
	if issuer.KeyErr != nil {
		return issuer.KeyErr
	}
	return issuer.Key.Verify(l.algorithm, l.tbs, l.signature)
}
