package pki

import (
	"crypto"
	"errors"
	"fmt"

	"gateagent/internal/ber"
)

// Scheme is a kind of signature.
type Scheme uint8

// Schemes. The zero value verifies nothing.
const (
	SchemeNone Scheme = iota
	SchemePKCS1
	SchemePSS
	SchemeECDSA
	SchemeECDSAPlain // r || s, BSI TR-03111 section 5.2.2
)

// Algorithm is a signature algorithm with everything needed to verify.
type Algorithm struct {
	Scheme Scheme
	Hash   crypto.Hash
	MGF    crypto.Hash // of the mask generation function, for PSS
	Salt   int         // length, for PSS
}

// String names the algorithm.
func (a Algorithm) String() string {
	switch a.Scheme {
	case SchemePKCS1:
		return "RSA-PKCS1-" + a.Hash.String()
	case SchemePSS:
		return "RSA-PSS-" + a.Hash.String()
	case SchemeECDSA, SchemeECDSAPlain:
		return "ECDSA-" + a.Hash.String()
	}
	return "no algorithm"
}

// Object identifiers with a meaning of their own.
const (
	oidRSA       = "1.2.840.113549.1.1.1"
	oidPSS       = "1.2.840.113549.1.1.10"
	oidMGF1      = "1.2.840.113549.1.1.8"
	oidECKey     = "1.2.840.10045.2.1"
	oidSpecified = "1.2.840.10045.4.3"
)

// Signature algorithms (RFC 8017 appendix C, RFC 5758, BSI TR-03110-3
// section A.7 for the plain ones).
var signatures = map[string]Algorithm{
	"1.2.840.113549.1.1.5":    {Scheme: SchemePKCS1, Hash: crypto.SHA1},
	"1.2.840.113549.1.1.14":   {Scheme: SchemePKCS1, Hash: crypto.SHA224},
	"1.2.840.113549.1.1.11":   {Scheme: SchemePKCS1, Hash: crypto.SHA256},
	"1.2.840.113549.1.1.12":   {Scheme: SchemePKCS1, Hash: crypto.SHA384},
	"1.2.840.113549.1.1.13":   {Scheme: SchemePKCS1, Hash: crypto.SHA512},
	"1.2.840.10045.4.1":       {Scheme: SchemeECDSA, Hash: crypto.SHA1},
	"1.2.840.10045.4.3.1":     {Scheme: SchemeECDSA, Hash: crypto.SHA224},
	"1.2.840.10045.4.3.2":     {Scheme: SchemeECDSA, Hash: crypto.SHA256},
	"1.2.840.10045.4.3.3":     {Scheme: SchemeECDSA, Hash: crypto.SHA384},
	"1.2.840.10045.4.3.4":     {Scheme: SchemeECDSA, Hash: crypto.SHA512},
	"0.4.0.127.0.7.1.1.4.1.1": {Scheme: SchemeECDSAPlain, Hash: crypto.SHA1},
	"0.4.0.127.0.7.1.1.4.1.2": {Scheme: SchemeECDSAPlain, Hash: crypto.SHA224},
	"0.4.0.127.0.7.1.1.4.1.3": {Scheme: SchemeECDSAPlain, Hash: crypto.SHA256},
	"0.4.0.127.0.7.1.1.4.1.4": {Scheme: SchemeECDSAPlain, Hash: crypto.SHA384},
	"0.4.0.127.0.7.1.1.4.1.5": {Scheme: SchemeECDSAPlain, Hash: crypto.SHA512},
	"1.3.14.3.2.29":           {Scheme: SchemePKCS1, Hash: crypto.SHA1}, // the older name of sha1WithRSA
}

// AlgorithmByOID finds a signature algorithm that needs no parameters.
func AlgorithmByOID(oid string) (Algorithm, error) {
	if a, ok := signatures[oid]; ok {
		return a, nil
	}
	return Algorithm{}, fmt.Errorf("signature algorithm %s: %w", oid, ErrUnsupported)
}

// ParseAlgorithm reads a signature AlgorithmIdentifier. CMS lets a signer
// name the bare key type and the hash apart (RFC 3370 section 3.2): digest is
// used then; 0 where there is none.
func ParseAlgorithm(der []byte, digest crypto.Hash) (Algorithm, error) {
	oid, params, err := algorithm(der)
	if err != nil {
		return Algorithm{}, fmt.Errorf("signature algorithm: %w", err)
	}
	switch oid {
	case oidPSS:
		return parsePSS(params)
	case oidRSA, oidECKey:
		if digest == 0 {
			return Algorithm{}, fmt.Errorf("signature algorithm %s names no hash: %w", oid, ErrUnsupported)
		}
		if oid == oidRSA {
			return Algorithm{Scheme: SchemePKCS1, Hash: digest}, nil
		}
		return Algorithm{Scheme: SchemeECDSA, Hash: digest}, nil
	case oidSpecified: // ecdsa-with-Specified: the hash is the parameter
		h, err := ParseHash(params)
		return Algorithm{Scheme: SchemeECDSA, Hash: h}, err
	}
	return AlgorithmByOID(oid)
}

// maxSalt bounds the salt of a PSS signature; the longest hash has 64 bytes.
const maxSalt = 512

// parsePSS reads RSASSA-PSS-params (RFC 8017 appendix A.2.3). Every field has
// a default, and the whole may be absent or NULL.
func parsePSS(params []byte) (Algorithm, error) {
	a := Algorithm{Scheme: SchemePSS, Hash: crypto.SHA1, MGF: crypto.SHA1, Salt: 20}
	if params == nil || len(params) == 2 && params[0] == ber.Null {
		return a, nil
	}
	r := open(params, 0x30)
	var err error
	if t, ok := r.optional(0xA0); ok {
		if a.Hash, err = ParseHash(t.Value); err != nil {
			return Algorithm{}, err
		}
	}
	if t, ok := r.optional(0xA1); ok {
		if a.MGF, err = parseMGF(t.Value); err != nil {
			return Algorithm{}, err
		}
	}
	if t, ok := r.optional(0xA2); ok {
		if a.Salt, err = smallInt(t.Value, maxSalt); err != nil {
			return Algorithm{}, fmt.Errorf("PSS salt length: %w", err)
		}
	}
	if t, ok := r.optional(0xA3); ok {
		if v, err := smallInt(t.Value, 255); err != nil || v != 1 {
			return Algorithm{}, fmt.Errorf("PSS trailer field: %w", ErrUnsupported)
		}
	}
	if r.err != nil || len(r.rest) != 0 {
		return Algorithm{}, errors.New("PSS parameters are malformed")
	}
	return a, nil
}

func parseMGF(der []byte) (crypto.Hash, error) {
	oid, params, err := algorithm(der)
	if err != nil {
		return 0, fmt.Errorf("mask generation function: %w", err)
	}
	if oid != oidMGF1 {
		return 0, fmt.Errorf("mask generation function %s: %w", oid, ErrUnsupported)
	}
	if params == nil {
		return crypto.SHA1, nil
	}
	return ParseHash(params)
}

// smallInt reads one INTEGER element between 0 and limit.
func smallInt(der []byte, limit int) (int, error) {
	v, err := ber.Expect(der, ber.Integer)
	if err != nil {
		return 0, err
	}
	if len(v) == 0 || len(v) > 4 || v[0]&0x80 != 0 {
		return 0, errors.New("number out of range")
	}
	n := 0
	for _, b := range v {
		n = n<<8 | int(b)
	}
	if n > limit {
		return 0, errors.New("number out of range")
	}
	return n, nil
}
