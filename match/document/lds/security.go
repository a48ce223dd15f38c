package lds

import (
	"errors"
	"fmt"
	"strings"

	"gateagent/internal/ber"
	"gateagent/match/document/pki"
)

// Object identifiers of SecurityInfos (ICAO 9303-11 section 9.2).
const (
	oidPACE         = "0.4.0.127.0.7.2.2.4."
	oidChipAuth     = "0.4.0.127.0.7.2.2.3."
	oidChipKeyDH    = "0.4.0.127.0.7.2.2.1.1"
	oidChipKeyECDH  = "0.4.0.127.0.7.2.2.1.2"
	oidActiveAuth   = "2.23.136.1.1.5"
	oidTerminalAuth = "0.4.0.127.0.7.2.2.2" // BSI TR-03110-3 appendix A.1.1.3
	noParameter     = -1
	maxSecurityInfo = 128
)

// PACEInfo is a PACE that a file states.
type PACEInfo struct {
	Protocol  string // object identifier
	Parameter int    // standardized domain parameters, -1 where not stated
}

// SecurityInfos is what is used of DG14 and EF.CardAccess here.
type SecurityInfos struct {
	PACE         []PACEInfo
	ChipAuth     int    // chip authentication protocols
	ChipAuthKeys int    // chip authentication public keys
	ActiveAuth   string // signature algorithm of active authentication, "" where not stated
	TerminalAuth bool   // terminal authentication is announced
}

// ParseDG14 reads DG14 (ICAO 9303-10 section 4.7.14).
func ParseDG14(raw []byte) (*SecurityInfos, error) {
	v, err := group(14, raw)
	if err != nil {
		return nil, err
	}
	s, err := ParseSecurityInfos(v)
	if err != nil {
		return nil, fmt.Errorf("DG14: %w", err)
	}
	return s, nil
}

// ParseSecurityInfos reads SecurityInfos (ICAO 9303-11 section 9.2).
func ParseSecurityInfos(der []byte) (*SecurityInfos, error) {
	v, err := ber.Expect(der, ber.Set)
	if err != nil {
		return nil, err
	}
	infos, err := ber.Children(v)
	if err != nil {
		return nil, err
	}
	if len(infos) > maxSecurityInfo {
		return nil, errors.New("too many security infos")
	}
	s := &SecurityInfos{}
	for _, i := range infos {
		if i.Tag != ber.Sequence {
			return nil, errors.New("a security info is no sequence")
		}
		if err := s.take(i.Value); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// OfferedInfos gives what EF.CardAccess offers. The file is not signed and is
// read as leniently as by whoever opened the chip with it: what does not parse
// offers nothing, and what follows the set is ignored.
func OfferedInfos(cardAccess []byte) *SecurityInfos {
	s := &SecurityInfos{}
	set, _, err := ber.Next(cardAccess)
	if err != nil || set.Tag != ber.Set {
		return s
	}
	infos, _ := ber.Children(set.Value)
	for _, i := range infos {
		if i.Tag == ber.Sequence && len(s.PACE) < maxSecurityInfo {
			_ = s.take(i.Value) // an error here means: offers nothing
		}
	}
	return s
}

func (s *SecurityInfos) take(value []byte) error {
	parts, err := ber.Children(value)
	if err != nil {
		return err
	}
	if len(parts) < 2 || parts[0].Tag != ber.OID {
		return errors.New("a security info is not of its form")
	}
	oid, err := pki.OID(parts[0].Value)
	if err != nil {
		return err
	}
	switch {
	case oid == oidChipKeyDH || oid == oidChipKeyECDH:
		if parts[1].Tag != ber.Sequence {
			return errors.New("a chip authentication key is not of its form")
		}
		s.ChipAuthKeys++
	case strings.HasPrefix(oid, oidChipAuth):
		s.ChipAuth++
	case strings.HasPrefix(oid, oidPACE) && strings.Count(oid[len(oidPACE):], ".") == 1:
		// Domain parameters have one arc less and state no protocol.
		p := PACEInfo{Protocol: oid, Parameter: noParameter}
		if len(parts) > 2 && parts[2].Tag == ber.Integer {
			p.Parameter = parameterID(parts[2].Value)
		}
		s.PACE = append(s.PACE, p)
	case oid == oidTerminalAuth:
		s.TerminalAuth = true
	case oid == oidActiveAuth:
		if len(parts) < 3 || parts[2].Tag != ber.OID {
			return errors.New("active authentication info is not of its form")
		}
		s.ActiveAuth, err = pki.OID(parts[2].Value)
	}
	return err
}

// parameterID reads a number of domain parameters, also one with leading
// zeros; any above 127 is none of the standardized ones.
func parameterID(v []byte) int {
	for len(v) > 1 && v[0] == 0 {
		v = v[1:]
	}
	if len(v) != 1 || v[0] >= 0x80 {
		return noParameter
	}
	return int(v[0])
}

// ParseDG15 reads the active authentication key (ICAO 9303-10 section
// 4.7.15). A key of an unknown kind is pki.ErrUnsupported.
func ParseDG15(raw []byte) (*pki.PublicKey, error) {
	v, err := group(15, raw)
	if err != nil {
		return nil, err
	}
	k, err := pki.ParseKey(v)
	if err != nil {
		return nil, fmt.Errorf("DG15: %w", err)
	}
	return k, nil
}
