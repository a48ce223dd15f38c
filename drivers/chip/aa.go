package chip

import (
	"context"
	"errors"
	"fmt"

	"gateagent/gate"
)

const stepAA = "active authentication"

// signatureNe is room for the longest signature in use, RSA with 4096 bits.
// Some chips refuse an Le of 65536 here, others bring but a part of the
// signature for one of 256; a part cannot be told from the whole, so unless
// extended length is known to be refused, the long one comes first.
const signatureNe = 512

// ActiveAuthenticate sends the challenge (INTERNAL AUTHENTICATE, ICAO 9303-11
// section 6.1) and brings the chip's raw answer, which match/document judges.
func (s *Session) ActiveAuthenticate(ctx context.Context, challenge []byte) ([]byte, error) {
	if err := s.alive(stepAA); err != nil {
		return nil, err
	}
	if len(challenge) != 8 {
		return nil, fault(gate.ChipStatus, gate.CodeProofUnproven, stepAA, 0, fmt.Errorf("a challenge of %d bytes where 8 are needed", len(challenge)))
	}
	c := command{ins: insInternalAuth, data: challenge, ne: maxShortNe, short: true}
	tries := []command{c}
	if !s.reads.shortOnly {
		long, medium := c, c
		long.ne, long.short = signatureNe, false
		medium.short = false
		tries = []command{long, medium, c}
	}
	r, _, err := s.ranged(ctx, stepAA, tries, nil)
	switch {
	case err != nil:
		return nil, err
	case !r.ok():
		return nil, fault(gate.ChipStatus, gate.CodeProofWithheld, stepAA, r.sw, nil)
	case len(r.data) == 0:
		return nil, fault(gate.ChipStatus, gate.CodeProofWithheld, stepAA, r.sw, errors.New("the answer is empty"))
	}
	return r.data, nil
}
