package chip

import (
	"bytes"
	"context"
	"errors"

	"gateagent/gate"
)

const (
	stepCardAccess  = "EF.CardAccess"
	stepApplication = "application selection"
)

// folder is where file selections start.
type folder byte

const (
	folderUnknown folder = iota
	folderMaster
	folderApplication
)

// place is what the chip has selected, as far as we know.
type place struct {
	folder folder
	file   gate.File
}

// eMRTD application (ICAO 9303-10 section 3.11.2).
var applicationID = []byte{0xA0, 0x00, 0x00, 0x02, 0x47, 0x10, 0x01}

func selectApplication() command {
	return command{ins: insSelect, p1: 4, p2: 0x0C, data: applicationID}
}
func selectMaster() command {
	return command{ins: insSelect, p2: 0x0C, data: []byte{0x3F, 0x00}}
}
func selectFile(id uint16) command {
	return command{ins: insSelect, p1: 2, p2: 0x0C, data: []byte{byte(id >> 8), byte(id)}}
}

// Open reads EF.CardAccess, runs PACE, or BAC where the chip offers no PACE at
// all, and selects the eMRTD application (ICAO 9303-11 section 4.2). A failed
// PACE ends here: BAC in its place would give an attacker the weaker protocol.
func (s *Session) Open(ctx context.Context, key gate.AccessKey) (gate.Access, error) {
	var access gate.Access
	if err := s.alive(stepApplication); err != nil {
		return access, err
	}
	if s.sm != nil {
		return access, fault(gate.ChipNonsense, gate.CodeSecureMessaging, stepApplication, 0, errors.New("the chip is open already"))
	}
	if key.Empty() {
		return access, fault(gate.ChipUnsupported, gate.CodeNoKey, stepApplication, 0, nil)
	}
	s.key.Wipe()
	s.key = gate.AccessKey{CAN: bytes.Clone(key.CAN), MRZInfo: bytes.Clone(key.MRZInfo)}

	raw, err := s.cardAccess(ctx)
	if raw != nil && s.place.folder == folderUnknown { // EF.CardAccess lies in the master file
		s.place.folder = folderMaster
	}
	access.CardAccess = bytes.Clone(raw)
	if err != nil {
		return access, err
	}
	var choice *paceChoice
	var offered bool
	if raw != nil {
		if choice, offered, err = choosePACE(raw); err != nil {
			return access, fault(gate.ChipNonsense, gate.CodeChipNonsense, stepCardAccess, 0, err)
		}
	}
	switch {
	case choice == nil && s.pace != nil: // a second try, and now the chip hides PACE
		return access, fault(gate.ChipNonsense, gate.CodeDowngrade, stepApplication, 0, nil)
	case choice != nil:
		return s.openPACE(ctx, choice, access)
	case offered, len(s.key.MRZInfo) == 0:
		return access, fault(gate.ChipUnsupported, gate.CodeNoProtocol, stepApplication, 0, nil)
	}
	if err := s.enterPlain(ctx); err != nil {
		return access, err
	}
	access.Protocol, access.Detail = gate.CheckBAC, "BAC-3DES-CBC-CBC MRZ"
	if err := s.runBAC(ctx, s.key.MRZInfo); err != nil {
		return access, err
	}
	access.Established = true
	return access, nil
}

// openPACE runs the chosen PACE and selects the application. EF.CardSecurity
// comes before that, where the mapping calls for it: see cardSecurity.
func (s *Session) openPACE(ctx context.Context, choice *paceChoice, access gate.Access) (gate.Access, error) {
	pw := choosePassword(s.key)
	access.Protocol, access.Detail = gate.CheckPACE, choice.String()+" "+pw.name
	s.pace = choice
	if err := s.runPACE(ctx, choice, pw); err != nil {
		return access, err
	}
	access.Established, access.ChipMapping = true, choice.mapping == mapCAM
	if access.ChipMapping {
		access.CardSecurity, access.CardSecurityFault = s.cardSecurity(ctx)
		if s.dead != nil {
			return access, access.CardSecurityFault
		}
	}
	return access, s.enter(ctx, stepApplication, folderApplication)
}

// enterPlain selects the application before BAC.
func (s *Session) enterPlain(ctx context.Context) error {
	if s.place.folder == folderApplication {
		return nil
	}
	r, err := s.plain(ctx, stepApplication, selectApplication())
	if err != nil {
		return err
	}
	if !r.ok() {
		return fault(gate.ChipUnsupported, gate.CodeNoApplication, stepApplication, r.sw, nil)
	}
	s.place = place{folder: folderApplication}
	return nil
}

// enter selects a folder under secure messaging.
func (s *Session) enter(ctx context.Context, step string, to folder) error {
	if s.place.folder == to {
		return nil
	}
	c := selectApplication()
	if to == folderMaster {
		c = selectMaster()
	}
	s.place = place{}
	r, err := s.must(ctx, step, c)
	switch {
	case err != nil:
		return err
	case r.ok():
		s.place = place{folder: to}
		return nil
	case to == folderMaster:
		return statusFault(step, r.sw)
	case r.sw == 0x6A82 || r.sw == 0x6A83 || r.sw == 0x6A88:
		return fault(gate.ChipUnsupported, gate.CodeNoApplication, step, r.sw, nil)
	}
	return refused(step, r.sw)
}

// reopen runs the whole access again after the chip dropped the session, with
// the protocol, the password and the chip authentication of before.
func (s *Session) reopen(ctx context.Context, step string) error {
	s.reads.reopened++
	s.dropSecure()
	s.place = place{}
	if s.pace == nil {
		if err := s.enterPlain(ctx); err != nil {
			return err
		}
		if err := s.runBAC(ctx, s.key.MRZInfo); err != nil {
			return err
		}
	} else {
		// PACE runs in the master file; chips that cannot select it may
		// still run it where they are.
		if _, err := s.plain(ctx, step, selectMaster()); err != nil {
			return err
		}
		if err := s.runPACE(ctx, s.pace, choosePassword(s.key)); err != nil {
			return err
		}
		if s.caKey != nil { // the chip of the new access must be the one that was proven
			if err := s.cam.judge(s.caKey); err != nil {
				return s.die(fault(gate.ChipNonsense, gate.CodeProofWrong, step, 0, err))
			}
		}
		if err := s.enter(ctx, stepApplication, folderApplication); err != nil {
			return err
		}
	}
	if s.ca == nil {
		return nil
	}
	return s.runCA(ctx, s.ca)
}
