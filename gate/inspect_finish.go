package gate

// lacksN are the checks whose column has no "not supported": unreached they
// are undetermined.
func lacksN(id CheckID) bool {
	switch id {
	case CheckSODHash, CheckSODSignature, CheckSOD, CheckDSSignature, CheckDSValidity,
		CheckDSRevocation, CheckDSTrust, CheckDS, CheckIntegrity, CheckIssuer, CheckExpiry:
		return true
	}
	return false
}

// finish completes the report: what was not reached is A when the document
// left, else N or U with a code; then the groups that need every detail.
func (in *inspector) finish() {
	gone := in.out.Fault != nil && asChipError(in.out.Fault).Kind == ChipGone
	for _, id := range CheckIDs() {
		if _, ok := in.out.Report.Get(id); ok || id == CheckIntegrity || id == CheckChip {
			continue
		}
		c, ok := in.omitted(id)
		switch {
		case ok:
		case gone:
			c = Check{id, Aborted, CodeChipGone, ""}
		case lacksN(id):
			c = Check{id, Undetermined, CodeNotReached, ""}
		default:
			c = Check{id, NotSupported, CodeNotReached, ""}
		}
		in.set(c)
	}
	in.downgraded()
	in.rollUpChip()
	in.rollUpIntegrity()
}

// downgraded marks a PACE that a signed file states and EF.CardAccess lacks,
// whichever step has read that file.
func (in *inspector) downgraded() {
	if !in.object || !in.kase.PromisesPACE(in.access.CardAccess) {
		return
	}
	c := Check{CheckPACE, Failed, CodeDowngrade, "a signed file states a PACE that EF.CardAccess lacks"}
	in.set(c)
	c.ID = CheckAccess
	in.set(c)
}

// omitted judges a check that no step has set and none was going to.
func (in *inspector) omitted(id CheckID) (Check, bool) {
	switch id {
	case CheckPACE, CheckBAC:
		return Check{id, NotSupported, 0, ""}, in.access.Protocol != "" // the other one was used
	case CheckTerminalAuth:
		return in.terminalAuth()
	case CheckIntegrityCOM:
		return Check{id, NotSupported, CodeNotReadByPolicy, ""}, !in.opt.Full
	case CheckMRZDG1:
		switch in.scan.Kind {
		case ScanMRZ, ScanVietnamID:
			return Check{}, false
		case ScanCAN:
			return Check{id, NotSupported, CodeMRZNothingToMatch, ""}, true
		}
		return Check{id, NotSupported, CodeMRZNotPresented, ""}, true
	}
	for n := 1; n <= 16; n++ {
		if id == CheckDG(n) {
			return in.omittedGroup(n)
		}
	}
	return Check{}, false
}

// terminalAuth is known once EF.CardAccess was read. No terminal certificate
// can be configured yet.
func (in *inspector) terminalAuth() (Check, bool) {
	const id = CheckTerminalAuth
	locked := false
	for n := range in.asked {
		c, _ := in.out.Report.Get(CheckDG(n))
		locked = locked || needsTerminal(n) && c.Code == CodeFileDenied
	}
	switch {
	case locked || in.kase.WantsTerminalAuth(in.access.CardAccess):
		return Check{id, Undetermined, CodeTerminalAuthNoKey, ""}, true
	case in.access.Established:
		return Check{id, NotSupported, CodeProofNotOffered, ""}, true
	}
	return Check{}, false
}

// omittedGroup judges a data group that was not read on purpose.
func (in *inspector) omittedGroup(n int) (Check, bool) {
	id := CheckDG(n)
	switch {
	case !in.object || n <= 2:
		return Check{}, false
	case !in.kase.Lists(n):
		return Check{id, NotSupported, CodeNotListed, ""}, true
	case in.opt.Full:
		return Check{}, false
	case n == 14 || n == 15: // left out only when another proof was enough
		proven := in.out.Report.Result(CheckChipAuth) == Successful || in.out.Report.Result(CheckPACECAM) == Successful
		return Check{id, NotSupported, CodeNotReadByPolicy, ""}, proven
	}
	return Check{id, NotSupported, CodeNotReadByPolicy, ""}, true
}

// rollUpIntegrity joins the data groups: any F; any A; then DG1, DG2 and every
// group that a proof used must be S, else U. EF.COM stands alone.
func (in *inspector) rollUpIntegrity() {
	for _, want := range [...]Result{Failed, Aborted} {
		for n := 1; n <= 16; n++ {
			if c, ok := in.out.Report.Get(CheckDG(n)); ok && c.Result == want {
				in.set(Check{CheckIntegrity, want, c.Code, DG(n).String()})
				return
			}
		}
	}
	for n := 1; n <= 16; n++ {
		c, _ := in.out.Report.Get(CheckDG(n))
		if (n <= 2 || in.used[n]) && c.Result != Successful {
			if c.Code == 0 {
				c.Code = CodeDGNeeded
			}
			in.set(Check{CheckIntegrity, Undetermined, c.Code, DG(n).String()})
			return
		}
	}
	in.set(Check{CheckIntegrity, Successful, 0, ""})
}
