"""The words of docs/results.md between its tables (miniature_results.py)."""

ABOUT = """# Results in miniature

![A dot a seed, an arm a row](images/families.svg)

*Percent right on 300 scenes that no model trained on. A dot is a training seed; the red line is the
base made to simulate, before any training.*

Every test question here stands in a *family*: one video, one set of options, two objects to remove,
one question that the video alone answers (observational) and one that it does not (inferential).
Neither gives itself away, so who does not read the premise has no family right as a whole."""
READ = """*Compute* counts completions drawn, the bias model's and those by which successes were
measured or questions labelled included, as a multiple of GRPO's. Intervals are of 95 %, over scenes
and training seeds together; differences are paired by seed and question. But for the two arms that
say otherwise the bias model learned questions as they are that event logs call observational, where
the paper strikes out their premise; no guard was on but the controller's, and no step at .01 came
near its limits. What was fixed before the run stands in [LOG.md](LOG.md); how large a difference
three seeds, or ten, could show was not worked out before it. Every number is recomputed from
committed answers: `python benchmarks/miniature.py tables` writes this page and its figure. This
tier is text, from a base of a million parameters; nothing was trained at 3B. [What the old world
showed](results_old_world.md), and why it misled, has a page of its own; what to do about a shortcut
in your own data is in [choosing.md](choosing.md)."""
SEEN = """## From pixels

![A dot a seed, an arm a row, from pixels](images/families_video.svg)

*The same picture where the model sees 16 frames of 64x48 pixels instead of reading a transcript.*

The same holds from pixels, from a base of two million parameters that was taught to simulate
([base_model.md](base_model.md)); nothing of the arms' settings was tuned there. Of ten seeds of
plain GRPO three come to describe, and the best one loses more than a fifth of the families.
Bias-failure sampling and families stand above it with every seed, sampling by label with all but
one, at no observational cost that is shown; families may keep most, sampling by label is not told
from bias-failure. All stay below the base made to simulate. The paper's divergence at three times
its weight is not shown to help in ten seeds, stands far below bias-failure sampling, and costs
three points of observational accuracy; its own weight was not run."""
FOLLOWED = """## Does the answer follow the premise?

The two questions of a family name two objects to remove, and their answers differ. Here is in how
many families, in percent, a method gives two answers, right or wrong. Who describes gives one."""
SMALLER = """## A smaller base

With a base of 0.6 million parameters, trained alike and asked with three seeds, GRPO gives a
describer's answers in each, though with one seed they open with a removal. Bias-failure sampling
keeps less than half of what the base has: it gains less, and does not hold. The smaller base
simulates worse and describes no worse, so simulating pays from a higher share on, near the one that
the sampling draws. Beyond it more is kept: three fifths where the bias model's failures draw more
(a lower `--sampling-floor`), at a cost of eight observational points, and more than three quarters
where labels draw two in five. So ask a base of your own for its break-even first
([choosing.md](choosing.md)), and draw a share well beyond it. On these test scenes the smaller base
falls below the bar that it passed on scenes of its own pretraining ([LOG.md](LOG.md))."""
CHOSEN = """## Choosing a checkpoint by a labelled slice

The plain engineer's answer to a policy that forgets: keep a checkpoint every ten steps, and take
the one that has most of 200 labelled questions right, half of them inferential. It keeps more than
the last checkpoint does, and less than more inferential questions do."""
UNLIKE = """## Scenes unlike those of training

Lines on which objects move stand half as far apart; videos are half as long again; there are seven
objects where there were five or six; from pixels, colors are others. Four collisions are no such
set: training scenes have three to five. Families and bias-failure sampling stay above GRPO on each
set, in both tiers. But from pixels half as long again, or with seven objects, no arm has more whole
families than who reads the premise and simulates nothing, and the base itself has few or no more:
what was learned there does not reach further than rules. The seeds asked here are four of the five
with which GRPO forgets least on transcripts."""
BEFORE = """## Before training

The base can do it: made to simulate it reads the premise. What is gained by training has to be held
against these lines."""
FOUND = """**Where 5 % of the training questions are inferential, plain GRPO loses half of the
families that the base has, in the mean, and how many is a matter of the seed**: of ten seeds one
comes to describe, one keeps nearly all, and the others lie anywhere between. More steps are not
shown to mend it: with all the compute of bias-failure sampling GRPO has no more than with a fifth
of it. At 26 % it keeps all but a point or two, with each of three seeds.

**Whatever brings many more inferential questions before the policy keeps more families.**
Bias-failure sampling, and training where half of the questions are families, keep nearly all in the
mean, and five sixths with the worst of ten seeds. Families keep a little more, which is shown; the
sampling costs a point or two of observational accuracy against GRPO. Sampling by label does as well
in the mean, costs about a point, and lost a third with one seed of ten. Small as these costs are,
hardly a seed is without them. The base's own failures and a curriculum by pass rate bring fewer
such questions, and no gain over GRPO is shown.

**The sampling needs no event log.** Its bias model learns observational questions, and somebody has
to say which these are. Where the base itself says it, by what it still answers without the premise,
as much is kept.

**Rewards change little.** That paying no part of an answer helps is not shown; in families it costs
nothing. There it also costs nothing, and is not shown to help, to draw families whole or to pay
them whole.

**The paper's repulsion is not shown to help.** At its own weight seven of ten seeds end above GRPO
and the others below, at no observational cost, and it stands below bias-failure sampling; the first
three had looked better. At a third of that weight, at three times and at ten times a gain is not
shown either, and at ten times one seed of three loses every family. Added to bias-failure sampling
it changes nothing in the mean. Nor is a gain shown with the paper's own bias model, of questions
without their premise: two seeds of three end with a describer's answers. Repelled from the starting
policy, or from a policy of GRPO, no gain is shown; of the latter one seed describes. **The sign
does matter**: attracted to the bias model all three seeds describe. The controller gains over GRPO,
less than the sampling does, and loses observational accuracy with each of ten seeds, five points to
eighteen.

**No arm has more whole families than the base made to simulate**: what is learned here is not to
forget. Nor does any come near a small network that is told who met whom and nothing else
([world.md](world.md))."""
LESSON = """## What is open

Of most arms three seeds were run, and from pixels the paper's own weight was not. The forecast by
break-even says too little. Where it is undecided one seed of ten came to describe on transcripts,
and three from pixels; but every other lost some of what only simulating gives, while it went on to
say that it simulates. Where it says that simulating pays, it does. On the smaller base describing
was to pay at the lower share, and did; at the share that the sampling draws it is undecided, and
part was kept; beyond it most was."""
OPENED = """## What else the answers tell

*The mix* weighs the labels as the paper's training data has them, 74 to 26. An answer *opens with a
removal* where it says that it simulates, whatever is computed behind it: in most arms all do, with
GRPO too, and it tells little."""
KINDS = """By what the removal does to an inferential question's options, and by whether a rule
suffices for a family (who met the removed object first meets its later partners instead). GRPO
loses most where an option is new, and trained longer nearly all there. What other arms keep they
keep where no rule suffices as well."""
SHALLOW = """Here a rule suffices for much of what bias-failure sampling keeps: of the families for
which none does it has few."""
PAYS = """**Break-even**: from which share of inferential training questions on simulating earns
more than describing, by the base's answers drawn as in training, with its interval over scenes. At
5 % of inferential questions the forecast is therefore undecided for both shipped bases; for the
smaller one it says that describing pays. At 26 %, and wherever more are drawn, simulating pays on
the shipped bases."""
ASKED = """## What was to come out, and what did

The best control is sampling by label, which takes no more compute than GRPO. On none of the tiers
does bias-failure sampling stand above it by what was hoped for, or by anything that is shown.
Families do from pixels, by half of it."""
