package gate

import "context"

// chipMapping notes what the access already tells of the chip authentication
// mapping: that it was not used, or that EF.CardSecurity could not be read.
func (in *inspector) chipMapping() {
	switch fault := in.access.CardSecurityFault; {
	case !in.access.ChipMapping:
		in.set(Check{CheckPACECAM, NotSupported, CodeProofNotOffered, ""}, Check{CheckCardSecurity, NotSupported, CodeNotReadByPolicy, ""})
	case fault != nil:
		v := verdict(CheckCardSecurity, fault)
		in.set(v)
		in.set(proofVerdict(CheckPACECAM, fault))
	}
}

// proveMapping judges EF.CardSecurity and, with the key that it proves, the
// proof that came with PACE. F or U of the file is F or U of the proof.
func (in *inspector) proveMapping(ctx context.Context) bool {
	if !in.access.ChipMapping || in.access.CardSecurityFault != nil {
		return false
	}
	checks, infos := in.kase.CardSecurity(in.access.CardSecurity)
	in.set(checks...)
	file, _ := in.out.Report.Get(CheckCardSecurity)
	if file.Result != Successful {
		file.ID, file.Detail = CheckPACECAM, "EF.CardSecurity is not proven"
		in.set(file)
		return false
	}
	detail, err := in.chip.ProveMapping(ctx, infos)
	if err == nil {
		in.set(Check{CheckPACECAM, Successful, 0, detail})
		return true
	}
	v := proofVerdict(CheckPACECAM, err)
	v.Code = asChipError(err).Code // nothing was sent: the status words say nothing
	in.set(v)
	return false
}

// proveChip proves that the chip is the one that was issued: by the proof that
// came with PACE, else by chip authentication where a proven DG14 promises it,
// else by active authentication with a proven DG15. After a success nothing
// more is asked. After a failure the others still run, for the record: they
// cannot outweigh it.
func (in *inspector) proveChip(ctx context.Context) error {
	if err := in.proveObject(ctx); err != nil {
		return err
	}
	if in.proveMapping(ctx) {
		in.set(Check{CheckChipAuth, NotSupported, CodeProofNotNeeded, ""}, Check{CheckActiveAuth, NotSupported, CodeProofNotNeeded, ""})
		return nil
	}
	proven, err := in.chipAuth(ctx)
	if err != nil {
		return err
	}
	if proven {
		in.set(Check{CheckActiveAuth, NotSupported, CodeProofNotNeeded, ""})
		return nil
	}
	return in.activeAuth(ctx)
}

// promised reads the file that promises a proof. go says whether the proof
// may be run; otherwise its check has been set.
func (in *inspector) promised(ctx context.Context, n int, id CheckID) (raw []byte, run bool, err error) {
	if !in.kase.Lists(n) {
		in.set(Check{id, NotSupported, CodeProofNotOffered, ""})
		return nil, false, nil
	}
	in.used[n] = true
	raw, proven, err := in.group(ctx, n)
	if err != nil { // the group was the running step, the proof is not reached
		return nil, false, err
	}
	if in.out.Report.Result(CheckDG(n)) == Failed && raw == nil {
		in.set(Check{id, Failed, CodeProofWithheld, DG(n).String() + " is listed and not given"})
		return nil, false, nil
	}
	if !proven {
		in.set(Check{id, Undetermined, CodeProofUnproven, DG(n).String() + " is not proven"})
		return nil, false, nil
	}
	return raw, true, nil
}

func (in *inspector) chipAuth(ctx context.Context) (bool, error) {
	raw, run, err := in.promised(ctx, 14, CheckChipAuth)
	if err != nil {
		return false, err
	}
	if !run {
		return false, nil
	}
	if !in.kase.OffersChipAuth() {
		in.set(Check{CheckChipAuth, NotSupported, CodeProofNotOffered, ""})
		return false, nil
	}
	detail, err := in.chip.ChipAuthenticate(ctx, raw)
	if err == nil {
		in.set(Check{CheckChipAuth, Successful, 0, detail})
		return true, nil
	}
	in.set(proofVerdict(CheckChipAuth, err))
	if ends(err) {
		return false, err
	}
	return false, nil
}

func (in *inspector) activeAuth(ctx context.Context) error {
	_, run, err := in.promised(ctx, 15, CheckActiveAuth)
	if err != nil || !run {
		return err
	}
	if !in.kase.OffersActiveAuth() {
		in.set(Check{CheckActiveAuth, Undetermined, CodeProofAlgorithm, ""})
		return nil
	}
	rnd := challenge()
	answer, err := in.chip.ActiveAuthenticate(ctx, rnd)
	if err != nil {
		in.set(proofVerdict(CheckActiveAuth, err))
		if ends(err) {
			return err
		}
		return nil
	}
	in.later(func() { in.set(in.kase.ActiveAuth(rnd, answer)) })
	return nil
}

// proofVerdict judges a proof that the proven files promise: refused by any
// status, left out or answered wrongly is F.
func proofVerdict(id CheckID, err error) Check {
	v := verdict(id, err)
	switch asChipError(err).Kind {
	case ChipMissing, ChipDenied, ChipStatus:
		v.Code = CodeProofWithheld
	case ChipNonsense:
		v.Code = CodeProofWrong
	case ChipUnsupported, ChipAlgorithm:
		v.Result = Undetermined
	}
	return v
}

// rollUpChip takes of the three proofs the first found in the order F, S, A,
// U, N. A listed DG14 or DG15 that the chip withholds is F, also where its
// proof was not asked for.
func (in *inspector) rollUpChip() {
	proofs := [...]CheckID{CheckChipAuth, CheckActiveAuth, CheckPACECAM}
	for _, id := range proofs {
		if c, ok := in.out.Report.Get(id); ok {
			in.set(in.kase.ChipProof(c))
		}
	}
	for _, n := range [...]int{14, 15} {
		if c, _ := in.out.Report.Get(CheckDG(n)); c.Code == CodeDGWithheld {
			in.set(Check{CheckChip, Failed, CodeProofWithheld, DG(n).String() + " is listed and not given"})
			return
		}
	}
	for _, want := range [...]Result{Failed, Successful, Aborted, Undetermined, NotSupported} {
		for _, id := range proofs {
			if c, ok := in.out.Report.Get(id); ok && c.Result == want {
				c.ID = CheckChip
				in.set(c)
				return
			}
		}
	}
}
