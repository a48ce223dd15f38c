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
		if _, ok := in.out.Report.Get(id); ok || id == CheckIntegrity {
			continue
		}
		in.set(in.unreached(id, gone))
	}
	in.rollUpIntegrity(gone)
}

// unreached judges one check that no step has set.
func (in *inspector) unreached(id CheckID, gone bool) Check {
	switch id {
	case CheckPACE, CheckBAC:
		if in.access.Protocol != "" {
			return Check{id, NotSupported, 0, ""} // the other one was used
		}
	case CheckTerminalAuth:
		return Check{id, NotSupported, CodeProofNotOffered, ""}
	case CheckIntegrityCOM:
		if !in.opt.Full {
			return Check{id, NotSupported, CodeNotReadByPolicy, ""}
		}
	}
	if c, ok := in.unreadGroup(id); ok {
		return c
	}
	switch {
	case gone:
		return Check{id, Aborted, CodeChipGone, ""}
	case lacksN(id):
		return Check{id, Undetermined, CodeNotReached, ""}
	}
	return Check{id, NotSupported, CodeNotReached, ""}
}

// unreadGroup judges a data group that was not read on purpose.
func (in *inspector) unreadGroup(id CheckID) (Check, bool) {
	for n := 1; n <= 16; n++ {
		if id != CheckDG(n) {
			continue
		}
		switch {
		case in.out.Report.Result(CheckSOD) != Successful && in.out.Fault != nil:
			return Check{}, false
		case !in.kase.Lists(n):
			return Check{id, NotSupported, CodeNotListed, ""}, true
		case n == 3 || n == 4:
			return Check{id, NotSupported, CodeFileDenied, "needs terminal authentication"}, true
		case n > 2 && (!in.opt.Full || in.out.Fault == nil):
			return Check{id, NotSupported, CodeNotReadByPolicy, ""}, true
		}
	}
	return Check{}, false
}

// rollUpIntegrity joins the data groups: any F; any A; then DG1, DG2 and every
// group that a proof used must be S, else U. EF.COM stands alone.
func (in *inspector) rollUpIntegrity(gone bool) {
	for _, want := range [...]Result{Failed, Aborted} {
		for n := 1; n <= 16; n++ {
			if c, ok := in.out.Report.Get(CheckDG(n)); ok && c.Result == want {
				in.set(Check{CheckIntegrity, want, c.Code, DG(n).String()})
				return
			}
		}
	}
	for n := 1; n <= 16; n++ {
		if (n <= 2 || in.used[n]) && in.out.Report.Result(CheckDG(n)) != Successful {
			c, _ := in.out.Report.Get(CheckDG(n))
			if c.Code == 0 {
				c.Code = CodeDGNeeded
			}
			in.set(Check{CheckIntegrity, Undetermined, c.Code, DG(n).String()})
			return
		}
	}
	if in.out.Report.Result(CheckSOD) == Aborted || gone {
		in.set(Check{CheckIntegrity, Aborted, CodeChipGone, ""})
		return
	}
	in.set(Check{CheckIntegrity, Successful, 0, ""})
}
