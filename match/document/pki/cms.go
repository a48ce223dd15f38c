package pki

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"gateagent/internal/ber"
)

// Object identifiers of CMS (RFC 5652 sections 5.1, 11.1 and 11.2).
const (
	oidSignedData    = "1.2.840.113549.1.7.2"
	oidContentType   = "1.2.840.113549.1.9.3"
	oidMessageDigest = "1.2.840.113549.1.9.4"
	oidSigningTime   = "1.2.840.113549.1.9.5"
)

// SignedData is a CMS message with its content inside (RFC 5652 section 5).
type SignedData struct {
	ContentType  string
	Content      []byte
	Certificates []*Certificate
	Signers      []*Signer
	// CertErr says why a certificate in the message could not be read, and
	// Unread holds those that could not.
	CertErr error
	Unread  [][]byte
}

// Signer is one SignerInfo (RFC 5652 section 5.3).
type Signer struct {
	// ID names the signer's certificate.
	ID SignerID
	// SigningTime is what the signer says; zero where it does not. Nothing
	// proves it but the signature.
	SigningTime time.Time

	digest    crypto.Hash
	digestErr error
	alg       Algorithm
	algErr    error
	signature []byte
	// signed attributes: raw with the tag of a SET, and the two that count
	attrs         []byte
	contentType   string
	messageDigest []byte
}

// Bounds of one message.
const (
	maxSigners      = 8
	maxCertificates = 64
)

// ParseSignedData reads a ContentInfo that holds SignedData. Indefinite
// lengths, which RFC 5652 allows outside the signed parts, are accepted.
func ParseSignedData(raw []byte) (*SignedData, error) {
	der, err := definite(raw)
	if err != nil {
		return nil, fmt.Errorf("CMS: %w", err)
	}
	r := open(der, ber.Sequence)
	kind := r.expect(ber.OID)
	body := r.expect(0xA0)
	if r.err != nil {
		return nil, fmt.Errorf("CMS: %w", r.err)
	}
	if oid, err := OID(kind.Value); err != nil || oid != oidSignedData {
		return nil, errors.New("CMS: not signed data")
	}
	s := &SignedData{}
	if err := s.parse(body.Value); err != nil {
		return nil, fmt.Errorf("CMS: %w", err)
	}
	return s, nil
}

func (s *SignedData) parse(body []byte) error {
	r := open(body, ber.Sequence)
	r.expect(ber.Integer)
	r.expect(ber.Set) // digest algorithms; each signer names its own
	content := &reader{rest: r.expect(ber.Sequence).Value}
	certs, _ := r.optional(0xA0)
	r.optional(0xA1)
	infos := r.expect(ber.Set)
	if r.err != nil {
		return r.err
	}
	kind := content.expect(ber.OID)
	wrapped := content.expect(0xA0)
	if content.err != nil {
		return fmt.Errorf("content: %w", content.err)
	}
	var err error
	if s.ContentType, err = OID(kind.Value); err != nil {
		return fmt.Errorf("content type: %w", err)
	}
	if s.Content, err = octets(wrapped.Value, 0); err != nil {
		return fmt.Errorf("content: %w", err)
	}
	if err := s.parseCertificates(certs.Value); err != nil {
		return err
	}
	return s.parseSigners(infos.Value)
}

// octets joins an OCTET STRING that may be cut into pieces (X.690 section
// 8.7).
func octets(b []byte, depth int) ([]byte, error) {
	t, err := ber.One(b)
	if err != nil {
		return nil, err
	}
	if t.Tag == ber.OctetString {
		return t.Value, nil
	}
	if t.Tag != 0x24 || depth > 2 {
		return nil, errors.New("not an octet string")
	}
	parts, err := ber.Children(t.Value)
	if err != nil {
		return nil, err
	}
	var out []byte
	for _, p := range parts {
		v, err := octets(p.Raw, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v...)
	}
	return out, nil
}

func (s *SignedData) parseCertificates(value []byte) error {
	r := &reader{rest: value}
	for n := 0; len(r.rest) > 0; n++ {
		t := r.next()
		if r.err != nil {
			return r.err
		}
		if n >= maxCertificates {
			return errors.New("too many certificates")
		}
		if t.Tag != ber.Sequence {
			continue // attribute certificates and the like
		}
		c, err := ParseCertificate(t.Raw)
		if err != nil {
			s.CertErr = err
			s.Unread = append(s.Unread, t.Raw)
			continue
		}
		s.Certificates = append(s.Certificates, c)
	}
	return nil
}

func (s *SignedData) parseSigners(value []byte) error {
	infos, err := ber.Children(value)
	if err != nil {
		return err
	}
	if len(infos) == 0 || len(infos) > maxSigners {
		return fmt.Errorf("%d signers", len(infos))
	}
	for _, i := range infos {
		signer, err := parseSigner(i.Raw)
		if err != nil {
			return fmt.Errorf("signer: %w", err)
		}
		s.Signers = append(s.Signers, signer)
	}
	return nil
}

func parseSigner(raw []byte) (*Signer, error) {
	s := &Signer{}
	r := open(raw, ber.Sequence)
	r.expect(ber.Integer)
	sid := r.next()
	digest := r.expect(ber.Sequence)
	attrs, hasAttrs := r.optional(0xA0)
	alg := r.expect(ber.Sequence)
	s.signature = r.expect(ber.OctetString).Value
	if r.err != nil {
		return nil, r.err
	}
	var err error
	if s.ID, err = parseSignerID(sid); err != nil {
		return nil, err
	}
	s.digest, s.digestErr = ParseHash(digest.Raw)
	if s.digestErr != nil && !errors.Is(s.digestErr, ErrUnsupported) {
		return nil, s.digestErr
	}
	s.alg, s.algErr = ParseAlgorithm(alg.Raw, s.digest)
	if s.algErr != nil && !errors.Is(s.algErr, ErrUnsupported) {
		return nil, s.algErr
	}
	if !hasAttrs {
		return nil, errors.New("no signed attributes, which every content but plain data must have")
	}
	// The signature covers the attributes as a SET, not under the context
	// tag they travel with (RFC 5652 section 5.4).
	s.attrs = bytes.Clone(attrs.Raw)
	s.attrs[0] = ber.Set
	return s, s.parseAttributes(attrs.Value)
}

func (s *Signer) parseAttributes(value []byte) error {
	attrs, err := ber.Children(value)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, a := range attrs {
		r := open(a.Raw, ber.Sequence)
		oid, err := OID(r.expect(ber.OID).Value)
		values := r.expect(ber.Set)
		if r.err != nil || err != nil {
			return fmt.Errorf("signed attribute: %w", errors.Join(r.err, err))
		}
		if seen[oid] {
			return errors.New("a signed attribute occurs twice")
		}
		seen[oid] = true
		switch oid {
		case oidContentType:
			v, err := ber.Expect(values.Value, ber.OID)
			if err != nil {
				return err
			}
			if s.contentType, err = OID(v); err != nil {
				return err
			}
		case oidMessageDigest:
			if s.messageDigest, err = ber.Expect(values.Value, ber.OctetString); err != nil {
				return err
			}
		case oidSigningTime: // worth nothing but a line for people
			if v, err := ber.One(values.Value); err == nil {
				s.SigningTime, _ = parseTime(v)
			}
		}
	}
	if s.contentType == "" || s.messageDigest == nil {
		return errors.New("content type or message digest is missing among the signed attributes")
	}
	return nil
}

// Certificate finds the signer's certificate in the message, nil where it is
// not there.
func (s *Signer) Certificate(certs []*Certificate) *Certificate {
	if i := slices.IndexFunc(certs, s.ID.Names); i >= 0 {
		return certs[i]
	}
	return nil
}

// ErrContentType: the signed attributes speak of another content type.
var ErrContentType = errors.New("the signed content type is not that of the content")

// CheckDigest compares the signed digest with the content (RFC 5652 section
// 5.6). An unknown hash is ErrUnsupported, a digest that does not fit
// ErrSignature.
func (s *Signer) CheckDigest(d *SignedData) error {
	if s.contentType != d.ContentType {
		return ErrContentType
	}
	if s.digestErr != nil {
		return s.digestErr
	}
	if !bytes.Equal(s.messageDigest, Sum(s.digest, d.Content)) {
		return fmt.Errorf("signed digest: %w", ErrSignature)
	}
	return nil
}

// CheckSignature verifies the signature over the signed attributes.
func (s *Signer) CheckSignature(c *Certificate) error {
	if s.algErr != nil {
		return s.algErr
	}
	if c.KeyErr != nil {
		return c.KeyErr
	}
	err := c.Key.Verify(s.alg, s.attrs, s.signature)
	if !errors.Is(err, ErrSignature) {
		return err
	}
	// DER sorts a SET. Some signers sort what they sign and not what they
	// send, so the sorted form is tried where the form as sent does not fit.
	if sorted := sortSet(s.attrs); !bytes.Equal(sorted, s.attrs) {
		return c.Key.Verify(s.alg, sorted, s.signature)
	}
	return err
}

// sortSet encodes a SET OF with its elements in DER order (X.690 section
// 11.6).
func sortSet(raw []byte) []byte {
	v, err := ber.Expect(raw, ber.Set)
	if err != nil {
		return raw
	}
	parts, err := ber.Children(v)
	if err != nil {
		return raw
	}
	slices.SortFunc(parts, func(a, b ber.TLV) int { return bytes.Compare(a.Raw, b.Raw) })
	all := make([][]byte, len(parts))
	for i, p := range parts {
		all[i] = p.Raw
	}
	return ber.Make(ber.Set, all...)
}

// SignatureValue gives the signature itself.
func (s *Signer) SignatureValue() []byte { return s.signature }

// Digest is the hash that the signer names for the content, 0 when unknown.
func (s *Signer) Digest() crypto.Hash { return s.digest }

// Algorithm is what the signer signed with.
func (s *Signer) Algorithm() (Algorithm, error) { return s.alg, s.algErr }
