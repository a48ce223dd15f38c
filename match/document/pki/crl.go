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
	// AltNames are the keys of further names of the issuer (issuerAltName):
	// a CSCA that changed its name may list the old one there.
	AltNames []string
	// Partial lists (those with a scope of their own, or with a critical
	// extension that is not known here) revoke, but their silence proves
	// nothing. ICAO 9303-12 section 7.1.4 knows only complete lists.
	Partial bool

	tbs          []byte
	signature    []byte
	algorithm    Algorithm
	algorithmErr error
	revoked      map[string]struct{}
}

// Kinds of list that are refused, because an entry means something else there
// than "this issuer's certificate is revoked" (RFC 5280 sections 5.2.4, 5.2.5
// and 5.3). ICAO 9303-12 appendix D.1.2 prohibits them.
var (
	ErrDeltaCRL    = errors.New("is a delta CRL, which says only what changed: get the complete list")
	ErrIndirectCRL = errors.New("is an indirect CRL, which lists other issuers' certificates: get the issuer's own list")
)

// maxCRL bounds one revocation list, maxRevoked its entries; the longest in
// the field have some ten thousand.
const (
	maxCRL     = 8 << 20
	maxRevoked = 1 << 16
)

// ParseCRL reads one DER revocation list.
func ParseCRL(der []byte) (*CRL, error) {
	if len(der) > maxCRL {
		return nil, fmt.Errorf("CRL of %d bytes; %d are allowed", len(der), maxCRL)
	}
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
		e.next() // the moment of revocation
		if e.err != nil {
			return e.err
		}
		if len(l.revoked) >= maxRevoked {
			return errors.New("too many entries")
		}
		if ext, ok := e.optional(ber.Sequence); ok {
			if err := eachExtension(ext.Raw, entryExtension); err != nil {
				return err
			}
		}
		l.revoked[string(trimSerial(serial.Value))] = struct{}{}
	}
	return r.err
}

// entryExtension refuses entries that speak of another issuer's certificate.
// Reasons and dates change nothing: what is listed is revoked.
func entryExtension(oid string, _ bool, _ []byte) error {
	if oid == "2.5.29.29" { // certificate issuer
		return ErrIndirectCRL
	}
	return nil
}

func (l *CRL) extension(oid string, critical bool, value []byte) error {
	switch oid {
	case "2.5.29.35":
		l.AuthorityKeyID = keyID(value)
	case "2.5.29.20": // CRL number
	case "2.5.29.18":
		l.AltNames = directoryNames(value)
	case "2.5.29.27":
		return ErrDeltaCRL
	case "2.5.29.28":
		l.Partial = true
		return indirect(value)
	default:
		l.Partial = l.Partial || critical
	}
	return nil
}

// indirect looks for the flag indirectCRL in IssuingDistributionPoint (RFC
// 5280 section 5.2.5).
func indirect(value []byte) error {
	r := open(value, ber.Sequence)
	for r.err == nil && len(r.rest) > 0 {
		if t := r.next(); t.Tag == 0x84 && !(len(t.Value) == 1 && t.Value[0] == 0) {
			return ErrIndirectCRL
		}
	}
	return r.err
}

// directoryNames takes the keys of the distinguished names among
// GeneralNames.
func directoryNames(value []byte) []string {
	var out []string
	r := open(value, ber.Sequence)
	for r.err == nil && len(r.rest) > 0 {
		t := r.next()
		if t.Tag != 0xA4 {
			continue
		}
		if n, err := parseName(t.Value); err == nil {
			out = append(out, n.Key)
		}
	}
	return out
}

// Revokes says whether the list names a certificate of its issuer by serial
// number.
func (l *CRL) Revokes(serial []byte) bool {
	_, ok := l.revoked[string(trimSerial(serial))]
	return ok
}

// Covers says whether this list revokes all that another one does.
func (l *CRL) Covers(other *CRL) bool {
	for serial := range other.revoked {
		if _, ok := l.revoked[serial]; !ok {
			return false
		}
	}
	return true
}

// MaxAge is how long after the last list an issuer publishes the next one at
// the latest (ICAO 9303-12 section 4.1.5: at least every 90 days).
const MaxAge = 90 * 24 * time.Hour

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
