package pki

import (
	"errors"
	"fmt"

	"gateagent/internal/ber"
)

// OIDMasterList is the content type of a master list, OIDMasterListSigner the
// extended key usage of its signer (ICAO 9303-12 sections 7.1.1 and 9).
const (
	OIDMasterList       = "2.23.136.1.1.2"
	OIDMasterListSigner = "2.23.136.1.1.3"
)

// maxMasterList bounds the certificates in one master list; the largest
// published ones hold fewer than a thousand.
const maxMasterList = 16384

// ParseMasterListContent reads CscaMasterList (ICAO 9303-12 section 9.2), the
// signed content of a master list. Certificates that do not parse are
// returned as errors with their number, counted from one.
func ParseMasterListContent(der []byte) (certs []*Certificate, refused []error, err error) {
	r := open(der, ber.Sequence)
	r.expect(ber.Integer)
	list := r.expect(ber.Set)
	if r.err != nil {
		return nil, nil, fmt.Errorf("master list: %w", r.err)
	}
	set := &reader{rest: list.Value}
	for n := 1; len(set.rest) > 0; n++ {
		if n > maxMasterList {
			return nil, nil, errors.New("master list: too many certificates")
		}
		t := set.next()
		if set.err != nil {
			return nil, nil, fmt.Errorf("master list: certificate %d: %w", n, set.err)
		}
		c, err := ParseCertificate(t.Raw)
		if err == nil && c.KeyErr != nil {
			err = c.KeyErr
		}
		if err == nil && c.AlgorithmErr != nil {
			err = c.AlgorithmErr
		}
		if err != nil {
			refused = append(refused, fmt.Errorf("certificate %d: %w", n, err))
			continue
		}
		certs = append(certs, c)
	}
	return certs, refused, nil
}
