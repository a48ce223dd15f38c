// Package pki reads and verifies what the ICAO public key infrastructure is
// made of: X.509 certificates, revocation lists, CMS signed data and master
// lists (ICAO Doc 9303-12).
//
// Certificates of issuing states do not keep to RFC 5280 as strictly as
// crypto/x509 wants: explicit elliptic curve parameters, brainpool curves,
// missing NULL parameters, negative serial numbers and odd basic constraints
// are all in use. This package reads them, verifies strictly, and trusts
// nobody by itself: which certificate is an anchor is its caller's decision.
package pki

import "errors"

// ErrUnsupported is wrapped by every error that says "well formed, but with
// an algorithm that is not known here". What is wrong or malformed never
// wraps it.
var ErrUnsupported = errors.New("not supported")

// ErrSignature is wrapped where a signature was computed and does not fit.
var ErrSignature = errors.New("the signature does not verify")
