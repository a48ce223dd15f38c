package pki

import (
	"crypto"
	_ "crypto/sha1"   // registers the hash: SHA-1 is still in the field
	_ "crypto/sha256" // registers SHA-224 and SHA-256
	_ "crypto/sha512" // registers SHA-384 and SHA-512
	"fmt"
)

// Hash algorithms of ICAO 9303-12 section 4.4 and RFC 5754 section 2.
var hashes = map[string]crypto.Hash{
	"1.3.14.3.2.26":          crypto.SHA1,
	"2.16.840.1.101.3.4.2.4": crypto.SHA224,
	"2.16.840.1.101.3.4.2.1": crypto.SHA256,
	"2.16.840.1.101.3.4.2.2": crypto.SHA384,
	"2.16.840.1.101.3.4.2.3": crypto.SHA512,
}

// HashByOID finds a hash function; an unknown one is ErrUnsupported.
func HashByOID(oid string) (crypto.Hash, error) {
	if h, ok := hashes[oid]; ok {
		return h, nil
	}
	return 0, fmt.Errorf("hash algorithm %s: %w", oid, ErrUnsupported)
}

// HashOID gives the object identifier of a hash, "" when it has none here.
func HashOID(h crypto.Hash) string {
	for oid, k := range hashes {
		if k == h {
			return oid
		}
	}
	return ""
}

// Sum hashes data in one go.
func Sum(h crypto.Hash, data ...[]byte) []byte {
	f := h.New()
	for _, d := range data {
		f.Write(d)
	}
	return f.Sum(nil)
}

// ParseHash reads an AlgorithmIdentifier that names a hash function.
// Parameters may be absent or NULL (RFC 5754 section 2).
func ParseHash(der []byte) (crypto.Hash, error) {
	oid, _, err := algorithm(der)
	if err != nil {
		return 0, fmt.Errorf("hash algorithm: %w", err)
	}
	return HashByOID(oid)
}

// algorithm splits an AlgorithmIdentifier (RFC 5280 section 4.1.1.2) into its
// object identifier and its raw parameters, nil when absent.
func algorithm(der []byte) (oid string, params []byte, err error) {
	r := open(der, 0x30)
	o := r.expect(0x06)
	if r.err != nil {
		return "", nil, r.err
	}
	if oid, err = OID(o.Value); err != nil {
		return "", nil, err
	}
	if len(r.rest) > 0 {
		params = r.next().Raw
	}
	return oid, params, r.err
}
