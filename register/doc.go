// Package register keeps atomic registers without a leader: the protocol of Attiya, Bar-Noy and Dolev
// (1990), for many writers (Lynch and Shvartsman, 1997), with members that change. Section 6 of package
// message has the wire; docs/design/registers.md says which room plays which part.
//
//	write   GET TAG ── a quorum answers ──▶ largest + 1, own name ──▶ PUT ── a quorum has it ──▶ done
//	read    GET ────── a quorum answers ──▶ largest ── not on a quorum ──▶ PUT the same ───────▶ done
//	                                           └────── on a quorum: one round ─────────────────▶ done
//	copy    GET ── of the old, as many as meet a quorum ──▶ largest ──▶ PUT on a quorum of the new ──▶ done
//
// A quorum is more than half of the replicas, dead ones counted too. While members change there are two
// groups of replicas, the old and the new, and a quorum is one of each.
//
// # What holds
//
//	R1  Any two quorums have a replica in common that still has what it acknowledged: quorums are counted of
//	    all members, and a member that lost its disk is another member from then on.
//	R2  A write's tag is larger than that of each write that was completed before it began.
//	R3  One tag, one value: a write chooses its tag once, whatever is tried again, and what is stored under a
//	    tag never changes. What a replica has never gets an older tag.
//	R4  What a read returns is on a quorum before it is returned, under its own tag.
//	R5  A reply counts once, in the phase and the epoch that it names.
//	R6  A replica acknowledges and shows only what is on its disk.
//	R7  A replica that has taken an epoch completes nothing of an older one, neither what comes later nor what
//	    waits for its disk. So once Fenced, the old quorums are history: a copy reads all that they completed.
//
// # How a driver uses it
//
//	o := register.NewWrite(register.Call{…}, writer, op, value)
//	send(o.Start())
//	for !o.Done() {
//		select {
//		case r := <-replies:
//			if r.Behind && r.Config != nil {
//				send(o.Restart(r.Config.Epoch, groupsOf(r.Config)))
//			} else {
//				send(o.Step(r))
//			}
//		case <-resend:
//			send(o.Resend()) // and, if the directory has a newer configuration, Restart
//		case <-ctx.Done():
//			// o.Chosen: the outcome is unknown. Otherwise nothing was or will be written.
//		}
//	}
//
// A driver that waits for replicas that a later change has removed is told by nobody: those that have
// answered are not asked again. So it looks at the directory, too, when it has waited for a while.
//
// Replica is the other side: it judges what a node does with a request, and writes the answer. Fenced, Merge
// and NewCopy are what a change of members needs. Memory is a whole replica without a real disk.
//
// # How it is proved
//
// The tests play the schedules that break the usual shortcuts (CE1 to CE13 and more), walk through every
// interleaving of two writers and two readers, and run seeded simulations with crashes, lost disks and changes of
// members, whose histories a checker of linearizability judges. Each known shortcut is then taken on purpose
// (variant.go), and must be found by its schedule and by the simulation. With the build tag planted, Plant does
// the same to a whole node.
//
// It sends nothing, keeps nothing and knows no time; who is asked first, what is asked again and when to give up
// are the driver's to say, and no choice of them is unsafe. It does not do compare-and-swap, which no register
// can, and it trusts its replicas: one that lies breaks it. Next: package company, which keeps bytes with a leader.
package register
