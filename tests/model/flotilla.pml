/* The protocol between RabbitMQ, Redis and the workers, for spin: docs/model.md says what each step stands for in the
 * code, what is left out and why, and how it is run (make model).
 *
 * Redis is a handful of bytes: a state, a set of predecessors, a set of dependents for each job, and the indices as sets of
 * jobs. A script is one atomic step on them, and what follows from its answer belongs to the same step: that an answer is
 * lost, that its receiver dies first, and that others come in between are steps of their own. The broker is a number of
 * messages for each job. Time is not there: a lease runs out, an entry is overdue, a retry is due, whenever that could be.
 *
 * What goes wrong is rationed (CRASHES, SLOW, DUPS, RESENDS, FAILS, DRAINS, CANCELS, PURGES, DELETES, FORGETS), so every run
 * comes to an end. The judge looks at each end: nothing may be left undone. That no run goes on for ever is checked by itself (-DNP).
 */

/* --- what is checked, by the names under which spin complains ------------------------------------------------------ */

hidden byte no_dependent_is_early;           /* queued or run before each of its predecessors has succeeded */
hidden byte no_job_ends_twice;
hidden byte nobody_settles_without_the_lease;
hidden byte no_attempt_without_a_cause;      /* the first one; after that a failure, a lost lease, a hand-back, a lost second */
hidden byte nothing_begins_unclaimed;        /* a process begins under its claim, or its lease had been taken away */
hidden byte no_number_runs_twice;            /* an attempt's number comes to one process */
hidden byte nothing_cancelled_is_claimed;
hidden byte no_ack_before_durable;
hidden byte every_job_ends;
hidden byte nothing_is_left_over;            /* outbox, settling, leases, queues */

/* An option that is an inline begins with skip: else its own `else` would be one of all options beside it. */

/* --- the bounds ---------------------------------------------------------------------------------------------------- */

#define NW 2 /* workers */
#ifndef CRASHES
#define CRASHES 0 /* a worker or the caretaker is killed, between any two steps */
#endif
#ifndef SLOW
#define SLOW 0 /* a lease runs out although its worker lives (stopped, cut off) */
#endif
#ifndef DUPS
#define DUPS 0 /* a delivery comes again, a confirm is lost, or an invitation is sent though one is on its way */
#endif
#ifndef SPECS
#define SPECS 1 /* how often the client publishes job 0 */
#endif
#ifndef RESENDS
#define RESENDS 0 /* the answer of a script is lost: it is sent again */
#endif
#ifndef FAILS
#define FAILS 0 /* attempts that fail, of any job */
#endif
#ifndef RETRIES
#define RETRIES 1
#endif
#ifndef DRAINS
#define DRAINS 0 /* a worker hands back what it runs or holds */
#endif
#ifndef CANCELS
#define CANCELS 0 /* somebody cancels a job */
#endif
#ifndef PURGES
#define PURGES 0 /* the queue loses its invitations */
#endif
#ifndef DELETES
#define DELETES 0 /* the queue is deleted while a worker has a message of it, about a job that Redis knows */
#endif
#ifndef FORGETS
#define FORGETS 0 /* Redis comes back without its last second (0 or 1) */
#endif

/* The graph: how many jobs, and the predecessors of each as a set. */
#if defined(CHAIN)
#define NJ 3
#define PREDS(j) ((j) == 0 -> 0 : 1 << ((j) - 1))
#elif defined(FAN_IN)
#define NJ 3
#define PREDS(j) ((j) == 2 -> 3 : 0)
#elif defined(PAIR)
#define NJ 2
#define PREDS(j) ((j) == 0 -> 0 : 1)
#else /* a diamond */
#define NJ 4
#define PREDS(j) ((j) == 0 -> 0 : ((j) == 3 -> 6 : 1))
#endif

#define BIT(j) (1 << (j))
#define GUARD 128
#define HAS(set, j) (((set) & BIT(j)) != 0)
#define LOWEST(set) (((set) & 1) -> 0 : (((set) & 2) -> 1 : (((set) & 4) -> 2 : 3)))

/* --- Redis --------------------------------------------------------------------------------------------------------- */

#define NONE 0
#define WAITING 1
#define SCHEDULED 2
#define QUEUED 3
#define RUNNING 4
#define SUCCEEDED 5
#define FAILED 6
#define SKIPPED 7
#define CANCELLED 8
#define ENDED(j) (state[j] >= SUCCEEDED)

#define NOBODY 15 /* the token of somebody who is dead: equal to nobody's */
#define MINE(me) ((me) + 1)

byte state[NJ], waiting[NJ], dependents[NJ], token[NJ], failures[NJ];
byte outbox, settling, succeeded, ended_once;
#if CANCELS
byte asked; /* to be cancelled, while it ran */
#define ASKED(j) HAS(asked, j)
#else
#define ASKED(j) false
#endif
#ifdef AHEAD
byte taken; /* its lease was taken from a worker that lives */
#endif
#if defined(AHEAD) && !FORGETS /* in a second that is lost, numbers are too */
#define NUMBERS
byte attempt[NJ], begun[NJ]; /* how many; the numbers that came to a process, as a set */
#endif
byte running_once; /* has an attempt that nothing has taken back: another one would need a cause */

#if FORGETS
/* What of Redis is on disk at the moment from which everything will be forgotten. */
#define SOLID 0
#define LOSING 1
#define LOST 2
byte phase;
byte d_state[NJ], d_waiting[NJ], d_dependents[NJ], d_token[NJ], d_failures[NJ];
byte d_outbox, d_settling, d_succeeded, d_ended_once;
#endif

/* --- RabbitMQ ------------------------------------------------------------------------------------------------------ */

#define NO 0
#define JOB 1        /* a client's message, with the job in it */
#define INVITATION 2 /* the fleet's: just the id */
#define LOCAL_CLAIM 3 /* none: an item without a delivery */

byte jobs[NJ], invitations[NJ]; /* ready in the queue */
#define MOST 2

/* --- who acts: workers 0 … NW-1, and the caretaker ------------------------------------------------------------------ */

#define CARETAKER NW
#define ACTORS (NW + 1)

#define IDLE 0
#define START 1
#define ADMIT 2
#define WATCH 3
#define RESOLVE_OWN 4
#define REGISTER 5
#define CLAIM 6
#define RUN 7
#define SETTLE_OK 8
#define SETTLE_FAILED 9
#define TELL 10
#define TOLD 11
#define HAND_OVER 12
#define PARKED 13       /* claimed, not begun */
#define HANDING 14      /* that is given back; the answer is awaited */
#define HANDING_BEGUN 15 /* the same of one that ran */
#define PASS_OK 16      /* SETTLE_OK, and its one dependent may begin in the same call */
#ifdef PASS
#define SUCCEEDS(a) (at[a] == SETTLE_OK || at[a] == PASS_OK)
#else
#define SUCCEEDS(a) (at[a] == SETTLE_OK)
#endif
#ifdef AHEAD
#define CLAIMED PARKED
#else
#define CLAIMED RUN
#endif

byte at[ACTORS], job[ACTORS], kind[ACTORS];
#ifdef NUMBERS
byte number[ACTORS]; /* of the attempt in hand */
#endif
byte todo[ACTORS], from[ACTORS], met[ACTORS]; /* of a flow: who is still to be asked or told, of whose end, whether it is as asked */
byte to_tell[ACTORS];                       /* ends whose telling is to begin */
byte at_hand[ACTORS];                           /* job + 1 that was begun where it became ready */

/* The delivery: its kind, its job, whether the item in hand is its item, and whether it may be acknowledged. */
#define NOT_YET 0
#define LATE 1 /* as soon as what Redis answered is on its disk */
byte message[ACTORS], message_job[ACTORS], bound[ACTORS], may_ack[ACTORS];

byte crashes = CRASHES, slow = SLOW, dups = DUPS, resends = RESENDS, fails = FAILS, drains = DRAINS, purges = PURGES,
     cancels = CANCELS;
#if DELETES
byte deletes = DELETES;
#endif

/* What the last answer leads to, and the job that it is about; 0 between steps. */
#define NOTHING 0
#define READY 1  /* it is queued: to be invited, or claimed at once */
#define SKIP 2   /* it ended as skipped */
#define INVITE 3
#define TO_TELL 4
#define BEGUN 8  /* it is running, and it is for this worker to run it */
#define OVER 5   /* the item is done with */
#define OVER_AND_TELL 6
#define OVER_AND_INVITE 7
#define OVER_AND_BEGUN 9 /* and its one dependent is running, for this worker to run it */
byte got, pick;

#ifdef MUTANT_COUNTER
#define GUARDED(j) HAS(settling, j)
#else
#define GUARDED(j) ((waiting[j] & GUARD) != 0)
#endif

/* --- parts of scripts ---------------------------------------------------------------------------------------------- */

#ifdef UNCHECKED_EARLY
#define CHECK_EARLY(j) skip
#else
#define CHECK_EARLY(j) assert(no_dependent_is_early || (PREDS(j) & ~succeeded) == 0)
#endif

inline enqueue(j) { /* ready.inc.lua; due, lose and hand-back write the same */
	state[j] = QUEUED;
	outbox = outbox | BIT(j);
	CHECK_EARLY(j)
}

inline finish(j, how) { /* ended.inc.lua */
	assert(no_job_ends_twice || !HAS(ended_once, j));
	ended_once = ended_once | BIT(j);
	state[j] = how;
	if
	:: how == SUCCEEDED -> succeeded = succeeded | BIT(j)
	:: else
	fi;
	if
	:: dependents[j] != 0 -> settling = settling | BIT(j)
	:: else
	fi
}

#ifdef NUMBERS
#define COUNT(me, j) attempt[j]++; number[me] = attempt[j]
#else
#define COUNT(me, j) skip
#endif

/* resolve.lua */
inline resolve(c, p, as_asked) {
	got = 0;
#ifdef MUTANT_COUNTER
	if
	:: state[c] == WAITING && waiting[c] > 0 && as_asked -> waiting[c] = waiting[c] - 1; got = (waiting[c] == 0 -> READY : NOTHING)
	:: state[c] == WAITING && !as_asked -> got = SKIP
	:: else
	fi;
#else
	if
	:: state[c] == WAITING && HAS(waiting[c], p) && as_asked ->
		waiting[c] = waiting[c] & ~BIT(p);
		got = (waiting[c] == 0 -> READY : NOTHING)
	:: state[c] == WAITING && HAS(waiting[c], p) && !as_asked ->
		waiting[c] = waiting[c] & ~GUARD;
		got = SKIP
	:: else
	fi;
#endif
	if
	:: got == READY -> enqueue(c)
	:: got == SKIP -> settling = settling & ~BIT(c); finish(c, SKIPPED)
	:: else
	fi
}

/* resolve.lua with a token, of a worker that has a free slot: what becomes ready runs in the same step. The same token
 * again gets the same answer. */
inline begin_ready(me, c) {
	if
	:: got == READY && me != CARETAKER && at_hand[me] == 0 ->
		assert(no_attempt_without_a_cause || !HAS(running_once, c));
		running_once = running_once | BIT(c);
		state[c] = RUNNING;
		token[c] = MINE(me);
		COUNT(me, c);
		outbox = outbox & ~BIT(c); /* it never had an entry: enqueue is of the same step */
		got = BEGUN
#ifndef MUTANT_LOCAL_TOLD_ONCE
	:: got == NOTHING && state[c] == RUNNING && token[c] == MINE(me) && at_hand[me] == 0 -> got = BEGUN
#endif
	:: else
	fi
}

/* --- the worker's side of answers ---------------------------------------------------------------------------------- */

inline ack(me) {
#ifndef UNCHECKED_ACK
#if FORGETS
	assert(no_ack_before_durable || phase != LOSING || message[me] != JOB || d_state[message_job[me]] != NONE);
	assert(no_ack_before_durable || phase != LOSING || d_state[message_job[me]] != QUEUED || HAS(d_outbox, message_job[me]));
	assert(no_ack_before_durable || phase == LOSING || message[me] != JOB || state[message_job[me]] != NONE);
	assert(no_ack_before_durable || phase == LOSING || state[message_job[me]] != QUEUED || HAS(outbox, message_job[me]));
#else
	assert(no_ack_before_durable || message[me] != JOB || state[message_job[me]] != NONE);
	assert(no_ack_before_durable || state[message_job[me]] != QUEUED || HAS(outbox, message_job[me]));
#endif
#endif
	message[me] = NO;
	message_job[me] = 0;
	may_ack[me] = NOT_YET
}

inline give_back(me) { /* the broker takes the delivery back: it is ready again */
	if
	:: message[me] == JOB -> jobs[message_job[me]]++
	:: message[me] == INVITATION && invitations[message_job[me]] < MOST -> invitations[message_job[me]]++
	:: else
	fi;
	message[me] = NO;
	message_job[me] = 0;
	may_ack[me] = NOT_YET;
	bound[me] = 0
}

/* acks_item_durable. An acknowledgement leaves at once, or never: later is the same as a delivery that comes again. */
inline permit_ack(me) {
	if
	:: bound[me] ->
		bound[me] = 0;
		if
#if FORGETS
		:: phase == LOSING -> may_ack[me] = LATE
		:: phase != LOSING -> ack(me)
#else
		:: ack(me)
#endif
		:: dups > 0 -> dups--; give_back(me)
		fi
	:: else
	fi
}

/* The item is freed, and its token with it: what still bears it in Redis is as good as nobody's. */
inline free_item(me) {
	if
	:: token[job[me]] == MINE(me) -> token[job[me]] = (state[job[me]] == RUNNING -> NOBODY : 0)
	:: else
	fi;
#if FORGETS
	if
	:: d_token[job[me]] == MINE(me) -> d_token[job[me]] = NOBODY
	:: else
	fi;
#endif
	permit_ack(me);
	at[me] = IDLE;
	job[me] = 0;
	kind[me] = NO;
	todo[me] = 0;
	from[me] = 0;
	met[me] = 0;
#ifdef NUMBERS
	number[me] = 0;
#endif
}

inline publish(j) {
	if
	:: invitations[j] < MOST -> invitations[j]++
	:: else
	fi
}

/* What an answer leads to: fleet_follow. */
/* An invitation is published at once, or never: later is the same as taken later from the queue. Never costs a fault. */
inline invite(j) {
#ifdef MUTANT_OUTBOX_BEFORE_CONFIRM
	outbox = outbox & ~BIT(j);
#endif
	if
	:: skip; publish(j)
	:: dups > 0 -> dups-- /* it came back, or its publisher died before it was out */
	:: dups > 0 -> dups--; publish(j); publish(j) /* its confirm was lost */
	fi
}

/* --- registering and telling, which workers and the caretaker have in common ---------------------------------------- */

inline next_watch(me) {
	todo[me] = todo[me] & ~BIT(from[me]);
	from[me] = 0;
	met[me] = 0;
	at[me] = (todo[me] == 0 -> REGISTER : WATCH)
}

inline watch(me, p) { /* watch.lua, on the predecessor */
	if
	:: ENDED(p) ->
		if
		:: state[p] != SUCCEEDED -> dependents[p] = dependents[p] | BIT(job[me])
		:: else
		fi;
		met[me] = HAS(succeeded, p);
		at[me] = RESOLVE_OWN
	:: else ->
		dependents[p] = dependents[p] | BIT(job[me]);
		next_watch(me)
	fi
}

inline register(j) { /* register.lua */
	if
	:: GUARDED(j) && state[j] == WAITING ->
		settling = settling & ~BIT(j);
#ifdef MUTANT_COUNTER
		waiting[j] = waiting[j] - 1;
#else
		waiting[j] = waiting[j] & ~GUARD;
#endif
		if
		:: waiting[j] == 0 -> got = READY; enqueue(j)
		:: else
		fi
	:: else
	fi
}

/* Whoever finds a guard goes on with what is stored. */
inline go_on_registering(me) {
#ifdef MUTANT_COUNTER
	todo[me] = PREDS(job[me]);
#else
	todo[me] = waiting[job[me]] & ~GUARD;
#endif
#ifdef MUTANT_GUARD_FIRST
	at[me] = (HAS(settling, job[me]) -> REGISTER : WATCH)
#else
	at[me] = (todo[me] == 0 -> REGISTER : WATCH)
#endif
}

inline begin_telling(me, j) { /* fleet_tell: the dependents are read */
	from[me] = j;
	todo[me] = dependents[j];
	met[me] = HAS(succeeded, j);
	at[me] = (todo[me] == 0 -> TOLD : TELL)
}

/* --- the worker's own ---------------------------------------------------------------------------------------------- */

inline take(me, j, what) {
	job[me] = j;
	kind[me] = what;
	message[me] = what;
	message_job[me] = j;
	bound[me] = 1;
	if
	:: what == JOB -> jobs[j]--
	:: else -> invitations[j]--
	fi;
#ifdef MUTANT_ACK_FIRST
	bound[me] = 0;
	ack(me);
#endif
	if
	:: what == INVITATION -> at[me] = CLAIM
	:: what == JOB && PREDS(j) == 0 -> at[me] = START /* here and now */
	:: what == JOB -> at[me] = ADMIT
	fi
}

inline admit(me, j) { /* admit.lua */
	if
	:: state[j] == NONE && PREDS(j) == 0 -> state[j] = QUEUED; at[me] = CLAIM
	:: state[j] == NONE && PREDS(j) != 0 ->
		state[j] = WAITING;
		settling = settling | BIT(j);
#ifdef MUTANT_COUNTER
		waiting[j] = 1 + (PREDS(j) & 1) + ((PREDS(j) & 2) / 2) + ((PREDS(j) & 4) / 4);
#else
		waiting[j] = PREDS(j) | GUARD;
#endif
		go_on_registering(me)
	:: state[j] == WAITING && GUARDED(j) -> go_on_registering(me)
	:: state[j] == QUEUED && PREDS(j) == 0 -> at[me] = CLAIM
	:: else -> got = OVER
	fi
}

#ifdef MUTANT_TAKEOVER
#define TAKEN_OVER(me, j) (state[j] == RUNNING && message[me] != NO)
#else
#define TAKEN_OVER(me, j) false
#endif

inline claim(me, j) { /* claim.lua, and start.lua for what nobody knows; the same token again gets the same answer */
	if
	:: state[j] == RUNNING && token[j] == MINE(me) -> at[me] = CLAIMED
	:: (at[me] == START && state[j] == NONE) || (at[me] == CLAIM && (state[j] == QUEUED || TAKEN_OVER(me, j))) ->
		CHECK_EARLY(j);
		assert(no_attempt_without_a_cause || !HAS(running_once, j));
		running_once = running_once | BIT(j);
		assert(nothing_cancelled_is_claimed || !ASKED(j));
		state[j] = RUNNING;
		token[j] = MINE(me);
		COUNT(me, j);
		outbox = outbox & ~BIT(j);
		at[me] = CLAIMED
	:: at[me] == START && state[j] != NONE && !(state[j] == RUNNING && token[j] == MINE(me)) -> at[me] = ADMIT
	:: at[me] == CLAIM && state[j] == NONE && kind[me] == JOB -> at[me] = ADMIT /* `again` in claim.c */
	:: else -> got = OVER
	fi
}

#ifdef MUTANT_NO_TOKEN
#define FENCED(me, j) false
#else
#define FENCED(me, j) (token[j] != MINE(me))
#endif

inline settle(me, j) { /* settle.lua; the same token again gets the same answer */
	if
	:: FENCED(me, j) || state[j] != RUNNING
	:: else ->
		assert(nobody_settles_without_the_lease || token[j] == MINE(me));
		if
		:: SUCCEEDS(me) -> finish(j, SUCCEEDED)
		:: !SUCCEEDS(me) && ASKED(j) -> finish(j, CANCELLED)
		:: else ->
			failures[j]++;
			if
			:: failures[j] <= RETRIES -> state[j] = SCHEDULED; running_once = running_once & ~BIT(j)
			:: else -> finish(j, FAILED)
			fi
		fi
	fi;
	if
	:: !FENCED(me, j) && ENDED(j) && HAS(settling, j) -> got = OVER_AND_TELL
	:: else -> got = OVER
	fi
}

#ifdef PASS
/* pass.lua: settle, and the one dependent is told in the same call: it begins if it waits for nothing else. Nothing is owed to it
 * then, so the end is not listed. The same tokens again get the same answer. */
#define NEXT(j) LOWEST(dependents[j])
#ifdef MUTANT_PASSED_FOR_ALL
#define ALONE(j) (dependents[j] != 0)
#else
#define ALONE(j) (dependents[j] == BIT(NEXT(j)))
#endif
#ifdef MUTANT_PASSED_UNSETTLED
#define PASSES(me, j) true
#else
#define PASSES(me, j) (state[j] == SUCCEEDED && token[j] == MINE(me))
#endif
#ifdef MUTANT_PASSED_AMONG_MANY
#define READY_WITH(c, j) HAS(waiting[c], j)
#else
#define READY_WITH(c, j) (waiting[c] == BIT(j))
#endif
inline pass(me, j) {
	settle(me, j);
	if
	:: PASSES(me, j) && ALONE(j) && state[NEXT(j)] == WAITING && HAS(waiting[NEXT(j)], j) && !READY_WITH(NEXT(j), j) ->
		waiting[NEXT(j)] = waiting[NEXT(j)] & ~BIT(j);
		settling = settling & ~BIT(j);
		got = OVER
	:: PASSES(me, j) && ALONE(j) && state[NEXT(j)] == WAITING && READY_WITH(NEXT(j), j) ->
		CHECK_EARLY(NEXT(j));
		waiting[NEXT(j)] = 0;
		settling = settling & ~BIT(j);
		assert(no_attempt_without_a_cause || !HAS(running_once, NEXT(j)));
		running_once = running_once | BIT(NEXT(j));
		state[NEXT(j)] = RUNNING;
		token[NEXT(j)] = MINE(me);
		COUNT(me, NEXT(j));
		got = OVER_AND_BEGUN
#ifndef MUTANT_PASSED_ONCE
	:: PASSES(me, j) && ALONE(j) && state[NEXT(j)] == RUNNING && token[NEXT(j)] == MINE(me) ->
		got = OVER_AND_BEGUN
#endif
	:: else
	fi
}
#endif

#ifdef MUTANT_CANCEL_FORGOTTEN
#define ENDS_CANCELLED(j) false
#else
#define ENDS_CANCELLED(j) ASKED(j)
#endif

inline hand_back(me, j) { /* handback.lua; the same token again gets the same answer */
	if
	:: token[j] == MINE(me) && state[j] == RUNNING && ENDS_CANCELLED(j) -> finish(j, CANCELLED)
	:: token[j] == MINE(me) && state[j] == RUNNING && !ENDS_CANCELLED(j) ->
		running_once = running_once & ~BIT(j);
#ifdef NUMBERS
		if
#ifdef MUTANT_UNCOUNTED
		:: skip -> attempt[j]--
#else
		:: at[me] == HANDING -> attempt[j]-- /* it has not begun */
		:: else
#endif
		fi;
#endif
		enqueue(j)
	:: else
	fi;
	got = (token[j] != MINE(me) -> OVER : (state[j] == QUEUED -> OVER_AND_INVITE : (ENDED(j) && HAS(settling, j) -> OVER_AND_TELL : OVER)))
}

#ifdef AHEAD
inline begin(me, j) {
#if FORGETS
	assert(nothing_begins_unclaimed || (state[j] == RUNNING && token[j] == MINE(me)) || HAS(taken, j) || phase == LOST);
#else
	assert(nothing_begins_unclaimed || (state[j] == RUNNING && token[j] == MINE(me)) || HAS(taken, j));
	assert(no_number_runs_twice || !HAS(begun[j], number[me]));
	begun[j] = begun[j] | BIT(number[me]);
#endif
	at[me] = RUN
}
#endif

#if CANCELS
inline cancel(j) { /* cancel.lua; who sent it dies, so that the caretaker tells the dependents */
	if
	:: state[j] == RUNNING -> asked = asked | BIT(j)
	:: else ->
		outbox = outbox & ~BIT(j);
		settling = settling & ~BIT(j);
		waiting[j] = waiting[j] & ~GUARD;
		finish(j, CANCELLED)
	fi
}
#endif

inline owe(me, j) { /* owe.lua, for what is held and not begun */
	if
	:: state[j] == QUEUED -> outbox = outbox | BIT(j); at[me] = HAND_OVER
#ifdef MUTANT_FRESH_HANDED_OVER
	:: state[j] == NONE && kind[me] == JOB -> at[me] = HAND_OVER
#endif
	:: state[j] == NONE && kind[me] == JOB -> at[me] = ADMIT
	:: else -> got = OVER
	fi
}

#ifdef FRESH
/* Only held, so far: no script about it is under way. Its session is lost, and what it was with it; what it registered is
 * owed an invitation, since its message may be gone as well (forget_held). */
#define IS_HELD(me) ((at[me] == START || at[me] == CLAIM) && kind[me] != LOCAL_CLAIM && token[job[me]] != MINE(me))
inline forget_held(me, j) {
	skip;
#ifndef MUTANT_HELD_FORGOTTEN
	if
	:: at[me] == CLAIM && kind[me] == JOB && state[j] == QUEUED -> outbox = outbox | BIT(j)
	:: else
	fi;
#endif
	free_item(me)
}
#endif

/* --- the caretaker's own ------------------------------------------------------------------------------------------- */

/* Whether an invitation to the job is on its way or in somebody's hands: then it is not overdue yet. */
#define CONCERNS(a, j) ((message[a] != NO && message_job[a] == (j)) || at_hand[a] == (j) + 1 ||                        \
			((at[a] == CLAIM || at[a] == HAND_OVER || at[a] == START || at[a] == ADMIT) && job[a] == (j)))
#define UNDER_WAY(j) (jobs[j] > 0 || invitations[j] > 0 || CONCERNS(0, j) || CONCERNS(1, j))

/* Whether a worker is at what settling lists: then the caretaker comes to it only where that one is slow. */
#define AT_IT(a, j) (HAS(to_tell[a], j) || ((at[a] == TELL || at[a] == TOLD) && from[a] == (j)) ||                     \
		     ((at[a] == WATCH || at[a] == RESOLVE_OWN || at[a] == REGISTER || SUCCEEDS(a) ||                   \
		       at[a] == SETTLE_FAILED || at[a] == ADMIT) && job[a] == (j)))

#define IS_DUE(j) (state[j] == SCHEDULED)
#define IS_UNSETTLED(j) (HAS(settling, j) && (slow > 0 || !(AT_IT(0, j) || AT_IT(1, j))))
#define IS_OVERDUE(j) (HAS(outbox, j) && (state[j] != QUEUED || !UNDER_WAY(j)))
#define IS_OWED(j) (HAS(outbox, j) && state[j] == QUEUED && !UNDER_WAY(j))
#define CAN_CANCEL(j) (state[j] != NONE && !ENDED(j) && !ASKED(j))
#define IS_LOST(j) (state[j] == RUNNING && (token[j] == NOBODY || slow > 0))

inline care(j) {
	if
	:: IS_DUE(j) -> enqueue(j); got = INVITE /* due.lua */
	:: IS_UNSETTLED(j) -> /* look.lua, fleet_resume */
		if
		:: AT_IT(0, j) || AT_IT(1, j) -> slow--
		:: else
		fi;
		if
		:: ENDED(j) ->
#ifdef MUTANT_STRUCK_BEFORE_TOLD
			settling = settling & ~BIT(j);
#endif
			begin_telling(CARETAKER, j)
		:: state[j] == WAITING && GUARDED(j) -> job[CARETAKER] = j; go_on_registering(CARETAKER)
		:: else -> settling = settling & ~BIT(j)
		fi
	:: IS_OVERDUE(j) -> /* owe.lua */
		if
		:: state[j] != QUEUED -> outbox = outbox & ~BIT(j)
		:: else -> publish(j)
		fi
	:: IS_LOST(j) -> /* lose.lua */
		if
		:: token[j] != NOBODY ->
			slow--;
#ifdef AHEAD
			taken = taken | BIT(j)
#endif
		:: else
		fi;
		token[j] = 0;
		running_once = running_once & ~BIT(j);
		if
		:: ASKED(j) -> finish(j, CANCELLED); got = (HAS(settling, j) -> TO_TELL : NOTHING)
		:: else -> enqueue(j); got = INVITE
		fi
	fi
}

#define NEEDS_CARE(j) (IS_DUE(j) || IS_UNSETTLED(j) || IS_OVERDUE(j) || IS_LOST(j))

/* --- one that acts ------------------------------------------------------------------------------------------------- */

/* Workers are alike: of two that are idle the first one takes. */
#define RESTING(a) (at[a] == IDLE && to_tell[a] == 0 && at_hand[a] == 0 && message[a] == NO)
#define FREE_HAND(me) (me != CARETAKER && RESTING(me) && (me == 0 || !RESTING(0)))

/* A job for which `which` holds; there has to be one. */
#define PICK(which)                                                                                                    \
	if                                                                                                             \
	:: which(0) -> pick = 0                                                                                        \
	:: which(1) -> pick = 1                                                                                        \
	PICK_2(which)                                                                                                  \
	PICK_3(which)                                                                                                  \
	fi
#if NJ == 2
#define PICK_2(which)
#define ANY(which) (which(0) || which(1))
#elif NJ == 3
#define ANY(which) (which(0) || which(1) || which(2))
#else
#define ANY(which) (which(0) || which(1) || which(2) || which(3))
#endif
#if NJ > 2
#define PICK_2(which) :: which(2) -> pick = 2
#endif
#if NJ > 3
#define PICK_3(which) :: which(3) -> pick = 3
#else
#define PICK_3(which)
#endif
#define HAS_JOB(j) (jobs[j] > 0)
#define HAS_INVITATION(j) (invitations[j] > 0)

/* The answer of the script before is lost, and it will be sent again. */
#define ANSWER_LOST resends > 0 -> resends--; got = NOTHING

inline follow(me) { /* what an answer leads to (fleet_follow), about the job `pick`; of a worker that is its item's */
	if
#ifdef PASS
	:: got == OVER_AND_BEGUN ->
		pick = NEXT(job[me]);
		free_item(me);
#ifdef NUMBERS
		number[me] = attempt[pick];
#endif
		got = BEGUN
#endif
	:: got >= OVER && got < BEGUN ->
		free_item(me);
		got = (got == OVER -> NOTHING : (got == OVER_AND_TELL -> TO_TELL : INVITE))
	:: else
	fi;
	if
	:: (got == SKIP && HAS(settling, pick)) || got == TO_TELL -> to_tell[me] = to_tell[me] | BIT(pick)
	:: got == BEGUN -> at_hand[me] = pick + 1
	:: got == READY || got == INVITE -> invite(pick)
	:: else
	fi
}

proctype actor(byte me) {
end:	do
	:: atomic {
		if
		/* registering */
		:: at[me] == WATCH ->
			from[me] = LOWEST(todo[me]);
			if
			:: ANSWER_LOST; pick = from[me]; watch(me, pick); at[me] = WATCH; todo[me] = todo[me] | BIT(pick)
			:: skip; watch(me, from[me])
			fi
		:: at[me] == RESOLVE_OWN ->
			pick = job[me];
			resolve(pick, from[me], met[me]);
			if
			:: ANSWER_LOST
			:: next_watch(me)
			fi
		:: at[me] == REGISTER ->
			pick = job[me];
			register(pick);
			if
			:: ANSWER_LOST
#ifdef MUTANT_GUARD_FIRST
			:: todo[me] != 0 -> at[me] = WATCH
			:: todo[me] == 0 -> got = (got == READY -> OVER_AND_INVITE : OVER)
#else
			:: got = (got == READY -> OVER_AND_INVITE : OVER)
#endif
			fi
		/* telling */
		:: at[me] == IDLE && to_tell[me] != 0 ->
			pick = LOWEST(to_tell[me]);
			to_tell[me] = to_tell[me] & ~BIT(pick);
			begin_telling(me, pick)
		:: at[me] == TELL ->
			pick = LOWEST(todo[me]);
			resolve(pick, from[me], met[me]);
#ifdef LOCAL
			begin_ready(me, pick);
#endif
			if
			:: ANSWER_LOST
			:: todo[me] = todo[me] & ~BIT(pick); at[me] = (todo[me] == 0 -> TOLD : TELL)
			fi
		:: at[me] == TOLD ->
			if
			:: ENDED(from[me]) -> settling = settling & ~BIT(from[me])
			:: else
			fi;
			if
			:: ANSWER_LOST
			:: at[me] = IDLE; from[me] = 0; met[me] = 0
			fi
		/* the worker */
		:: FREE_HAND(me) && ANY(HAS_JOB) -> PICK(HAS_JOB); take(me, pick, JOB)
		:: FREE_HAND(me) && ANY(HAS_INVITATION) -> PICK(HAS_INVITATION); take(me, pick, INVITATION)
		:: at[me] == ADMIT ->
			admit(me, job[me]);
			if
			:: ANSWER_LOST; at[me] = ADMIT; todo[me] = 0
			:: skip
			fi
#ifdef FRESH
		/* held without being admitted, for too long, or Redis is full */
		:: at[me] == START && token[job[me]] != MINE(me) -> at[me] = ADMIT
		:: IS_HELD(me) && message[me] == NO -> forget_held(me, job[me])
#endif
		:: at[me] == START || at[me] == CLAIM ->
			if
			:: resends > 0 -> resends--; pick = at[me]; claim(me, job[me]); at[me] = pick; got = NOTHING
			:: skip; claim(me, job[me])
			fi
		:: at[me] == RUN || SUCCEEDS(me) || at[me] == SETTLE_FAILED ->
			if
			:: at[me] == RUN -> at[me] = SETTLE_OK
#ifdef PASS
			:: at[me] == RUN && at_hand[me] == 0 -> at[me] = PASS_OK
#endif
			:: at[me] == RUN && fails > 0 -> fails--; at[me] = SETTLE_FAILED
			:: at[me] != RUN
			fi;
			pick = job[me];
#ifdef PASS
			if
			:: at[me] == PASS_OK -> pass(me, job[me])
			:: at[me] != PASS_OK -> settle(me, job[me])
			fi;
#else
			settle(me, job[me]);
#endif
			if
			:: ANSWER_LOST
			:: skip
			fi
		:: (at[me] == RUN || at[me] == PARKED) && bound[me] -> permit_ack(me) /* it has run for a second */
#ifdef MUTANT_ACK_BY_CLOCK
		:: may_ack[me] == LATE -> ack(me)
#endif
#ifdef AHEAD
		:: at[me] == PARKED -> begin(me, job[me])
		:: (at[me] == PARKED || at[me] == RUN) && ASKED(job[me]) -> at[me] = SETTLE_FAILED /* it hears of it */
		:: (at[me] == PARKED || at[me] == RUN) && drains > 0 -> drains--; at[me] = (at[me] == PARKED -> HANDING : HANDING_BEGUN)
#ifdef MUTANT_BEGUN_ALL_THE_SAME
		:: at[me] == HANDING -> begin(me, job[me])
#endif
		/* the script is sent, and again where the answer is lost; or the answer comes, late or not */
		:: (at[me] == HANDING || at[me] == HANDING_BEGUN) && todo[me] == 0 ->
			pick = job[me];
			hand_back(me, pick);
			todo[me] = got;
			got = NOTHING
		:: (at[me] == HANDING || at[me] == HANDING_BEGUN) && todo[me] != 0 ->
			pick = job[me];
			if
			:: ANSWER_LOST; todo[me] = 0
			:: got = todo[me]
			fi
#endif
#if DRAINS
#ifndef AHEAD
		:: at[me] == RUN && drains > 0 -> drains--; pick = job[me]; hand_back(me, pick)
#endif
		:: at[me] == CLAIM && token[job[me]] != MINE(me) && drains > 0 ->
			drains--;
			owe(me, job[me])
#ifdef FRESH
		:: at[me] == START && token[job[me]] != MINE(me) && drains > 0 ->
			drains--;
			owe(me, job[me])
#endif
		:: at[me] == HAND_OVER ->
			publish(job[me]);
#ifdef MUTANT_HANDED_OVER_AT_ONCE
			if
			:: bound[me] -> bound[me] = 0; ack(me)
			:: else
			fi;
#endif
			got = OVER
#endif
#ifdef FULL
		/* Redis is full: the caretaker's worker begins what is owed without an invitation */
		:: FREE_HAND(me) && ANY(IS_OWED) ->
			PICK(IS_OWED);
			job[me] = pick;
			kind[me] = LOCAL_CLAIM;
			at[me] = CLAIM
#endif
#ifdef LOCAL
		:: at[me] == IDLE && to_tell[me] == 0 && at_hand[me] != 0 ->
			job[me] = at_hand[me] - 1;
			at_hand[me] = 0;
			kind[me] = LOCAL_CLAIM;
			at[me] = CLAIMED
#endif
		/* the caretaker */
		:: me == CARETAKER && at[me] == IDLE && to_tell[me] == 0 && ANY(NEEDS_CARE) -> PICK(NEEDS_CARE); care(pick)
		fi;
		follow(me);
		got = NOTHING;
		pick = 0 }
	od
}

/* --- what goes wrong ----------------------------------------------------------------------------------------------- */

#define BUSY(a) (at[a] != IDLE || message[a] != NO || to_tell[a] != 0 || at_hand[a] != 0)

/* Killed, or its machine is. Another worker comes; nothing of this one is left but what it wrote. */
inline die(a) {
	give_back(a);
	got = 0;
	do
	:: got < NJ ->
		if
		:: token[got] == MINE(a) -> token[got] = NOBODY
		:: else
		fi;
#if FORGETS
		if
		:: d_token[got] == MINE(a) -> d_token[got] = NOBODY
		:: else
		fi;
#endif
		got++
	:: else -> break
	od;
	got = 0;
	at[a] = IDLE; job[a] = 0; kind[a] = NO; todo[a] = 0; from[a] = 0; met[a] = 0;
	to_tell[a] = 0; at_hand[a] = 0;
#ifdef NUMBERS
	number[a] = 0;
#endif
}

#define CAN_DOUBLE(j) (HAS(outbox, j) && state[j] == QUEUED && invitations[j] == 0)

#if FORGETS
#define EACH(j, what)                                                                                                  \
	j = 0;                                                                                                         \
	do                                                                                                             \
	:: j < NJ -> what; j++                                                                                         \
	:: else -> break                                                                                               \
	od;                                                                                                            \
	j = 0

#define FORSAKE(a, j) token[j] = ((token[j] == MINE(a) && at_hand[a] != (j) + 1) -> NOBODY : token[j])

/* The worker sees that its session with Redis is lost: so is that with the broker; flows end, and what they stand for is
 * still listed; calls that bear a token are sent again. */
inline miss(a) {
#ifdef MUTANT_SESSION_KEPT
	if
	:: may_ack[a] == LATE -> give_back(a)
	:: else
	fi;
#else
	give_back(a);
#endif
#ifndef MUTANT_FLOWS_GO_ON
	to_tell[a] = 0;
#ifdef LOCAL
	/* a place whose answer is awaited is given up: what began in it has a token that nobody holds */
	if
	:: at[a] == TELL -> EACH(got, FORSAKE(a, got))
	:: else
	fi;
#endif
	if
	:: at[a] == WATCH || at[a] == RESOLVE_OWN || at[a] == REGISTER || at[a] == TELL || at[a] == TOLD ->
		at[a] = IDLE; job[a] = 0; kind[a] = NO; todo[a] = 0; from[a] = 0; met[a] = 0;
		bound[a] = 0
	:: else
	fi;
#endif
	skip
}

byte forgets = FORGETS;
#endif

proctype world() {
end:	do
	:: atomic { crashes > 0 && (BUSY(0) || BUSY(1) || BUSY(CARETAKER)) ->
		crashes--;
		if
		:: BUSY(0) -> pick = 0
		:: BUSY(1) -> pick = 1
		:: BUSY(CARETAKER) -> pick = CARETAKER
		fi;
		die(pick);
		pick = 0 }
	/* a session with the broker is lost */
	:: atomic { dups > 0 && (message[0] != NO || message[1] != NO) ->
		dups--;
		if
		:: message[0] != NO -> give_back(0)
		:: message[1] != NO -> give_back(1)
		fi }
	:: atomic { dups > 0 && ANY(CAN_DOUBLE) -> dups--; PICK(CAN_DOUBLE); publish(pick); pick = 0 }
#if CANCELS
	:: atomic { cancels > 0 && ANY(CAN_CANCEL) -> cancels--; PICK(CAN_CANCEL); cancel(pick); pick = 0 }
#endif
#if DELETES
	:: d_step { deletes > 0 && message[0] != NO && state[message_job[0]] != NONE ->
		deletes--;
		message[0] = NO;
		message_job[0] = 0;
		may_ack[0] = NOT_YET;
		bound[0] = 0 }
#endif
	:: atomic { purges > 0 && ANY(HAS_INVITATION) -> purges--; PICK(HAS_INVITATION); invitations[pick] = 0; pick = 0 }
#if FORGETS
	/* from here on nothing reaches the disk, though nobody knows */
	:: d_step { phase == SOLID && forgets > 0 ->
		forgets--;
		phase = LOSING;
		EACH(got, d_state[got] = state[got]; d_waiting[got] = waiting[got]; d_dependents[got] = dependents[got];
			d_token[got] = token[got]; d_failures[got] = failures[got]);
		d_outbox = outbox; d_settling = settling; d_succeeded = succeeded; d_ended_once = ended_once }
	/* and here Redis dies, and comes back without it */
	:: d_step { phase == LOSING ->
		phase = LOST;
		EACH(got, state[got] = d_state[got]; waiting[got] = d_waiting[got]; dependents[got] = d_dependents[got];
			token[got] = d_token[got]; failures[got] = d_failures[got];
			d_state[got] = 0; d_waiting[got] = 0; d_dependents[got] = 0; d_token[got] = 0; d_failures[got] = 0);
		outbox = d_outbox; settling = d_settling; succeeded = d_succeeded; ended_once = d_ended_once;
		d_outbox = 0; d_settling = 0; d_succeeded = 0; d_ended_once = 0;
		running_once = 0;
		miss(0);
		miss(1);
		miss(CARETAKER) }
#endif
	od
}

/* --- the end ------------------------------------------------------------------------------------------------------- */

proctype judge() {
	timeout;
	d_step {
		got = 0;
		do
		:: got < NJ ->
			assert(every_job_ends || ENDED(got));
			assert(nothing_is_left_over || (jobs[got] == 0 && invitations[got] == 0));
			got++
		:: else -> break
		od;
		assert(nothing_is_left_over || (outbox == 0 && settling == 0));
		assert(nothing_is_left_over || (message[0] == NO && message[1] == NO))
	}
}

init {
	atomic {
		jobs[0] = SPECS;
		jobs[1] = 1;
#if NJ > 2
		jobs[2] = 1;
#endif
#if NJ > 3
		jobs[3] = 1;
#endif
		run actor(0);
		run actor(1);
		run actor(CARETAKER);
		run world();
		run judge()
	}
}
