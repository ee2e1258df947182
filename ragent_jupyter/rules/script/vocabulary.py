"""The words of option names: how a name falls into words, and what the words speak of.

Words are singular and lower case; what people abbreviate or glue together is written out first. The lists are the
vocabulary of vision, language, speech, tables and reinforcement learning, as their training scripts spell it.
"""

from __future__ import annotations

import re
from functools import lru_cache

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PART = re.compile(r"[A-Za-z]+|\d+")


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _table(text: str) -> dict[str, tuple[str, ...]]:
    rows = (line.split(":") for line in text.strip().splitlines())
    return {one: tuple(meant.split()) for many, meant in rows for one in many.split()}


# What is written together or short → the words that it stands for.
SPELT_OUT = _table(
    """
    lr lrate learningrate learnrate lr0 lrf : lr
    wd weightdecay wdecay decaywt : wd
    bs bsz batchsize batchsz minibatchsize mbs batsz : batch size
    nepoch nepochs numepoch numepochs maxepoch maxepochs epoches epochs : epoch
    niter niters nitr itr itrs iters iter iterations numiter maxiter maxiters iteration its nits : iter
    nsteps : num step
    numsteps maxsteps maxstep : num step
    timesteps timestep tsteps : timestep
    steps : step
    imgsz imsz imgsize imsize imagesize : image size
    img imgs im ims images : image
    nhid nhidden hiddensize hidsize hdim nhiddens : hidden size
    nlayers nlayer numlayers nblocks : num layer
    nhead nheads : num head
    emsize embsize emb embs embd embed embeds embedding embeddings emdim embdim : embed
    ndf ngf nef : filter width
    nz : latent size
    nfft : n fft
    nhop : n hop
    nmels nmel : n mel
    droprate : dropout
    dropouts drop_rate dropoutrate dropoutprob dropprob dout : dropout
    nworkers numworkers nworker nthreads numthreads ncpu nprocs nproc ngpu ngpus numgpus njobs : num worker
    logdir : log dir
    savedir outdir outputdir workdir modeldir datadir ckptdir basedir rootdir cachedir tbdir expdir : output dir
    outf outfile infile logfile : output file
    dataroot datapath datafile : data path
    savefreq saveinterval saveevery savestep savesteps : save every
    logfreq loginterval logevery printfreq printevery logstep logsteps : log every
    evalfreq evalinterval evalevery valfreq valinterval evalstep testfreq : eval every
    nosave : no save
    noval : no val
    noplots noplot : no plot
    noautoanchor autoanchor : no auto anchor
    nocuda usecuda : cuda
    useamp : amp
    manualseed randomseed rngseed seednum : seed
    optim opt optimiser optimizers optimizer_type : optimizer
    sched lrscheduler lrsched schedulers : scheduler
    act activ activations nonlinearity nonlin actfn : activation
    hid hiddens units unit neurons neuron : hidden
    chans chan channels ch nc nch nchannels : channel
    dims ndim ndims : dim
    layers : layer
    depths : depth
    widths : width
    reps repeats : repeat
    coeff coeffs coef coefs coefficient coefficients : coef
    lam lamb lambd lambda lambdas lmbda : lambda
    reg regular regul regularisation regularization regularizer : reg
    norm norms normalise normalize normalization normalisation normalized : norm
    bn ln batchnorm layernorm groupnorm rmsnorm : norm
    aug augs augment augments augmentation augmentations augmented : augment
    autoaugment autoaug randaugment randaug trivialaugment augmix : augment
    smooth smoothing : smoothing
    accum acc accumulation accumulate accumulated gradaccum : accumulate
    grad grads gradient gradients gradnorm : grad
    gradclip clipgrad clipnorm gradclipping : grad clip
    maxnorm maxgradnorm : grad clip
    clipping clipped clips clamp : clip
    warm warmups warmupsteps warmupepochs warmups : warmup
    ramp rampup rampdown : ramp
    temp temperatures tempr : temperature
    disc discriminators : discriminator
    gen generators : generator
    feats feat features : feature
    attn attentions : attention
    ctx context contexts : context
    seq seqs sequences seqlen : seq
    len length lengths lens : len
    maxlen : max len
    vocab vocabulary : vocab
    tok toks tokens : token
    sz sizes : size
    prob probs probability probabilities proba : prob
    pct percent percentage : ratio
    frac fraction fractions ratios : ratio
    neg negs negative negatives : negative
    pos positive : pos
    weights : weight
    wt wts : weight
    losses : loss
    criterion criteria objective objectives : loss
    val valid validation validate : val
    eval evals evaluate evaluation evaluating evaluator : eval
    tst test tests testing : test
    infer inference : inference
    demo demos : demo
    print prints printing : print
    log logs logging logger loggers logged : log
    save saves saving saved saver : save
    checkpoints checkpointing ckpt ckpts checkpt : checkpoint
    freq freqs frequency frequencies : freq
    intervals interval every period periods cadence : every
    dir dirs directory directories folder folders : dir
    paths pth : path
    filename filenames fname fnames files : file
    cfg configs config configuration conf hparams hparam : config
    exp expt experiment experiments expname : experiment
    gpus gpu cuda cpus cpu tpu tpus ipu ipus hpu hpus xpu mps npu npus devices : device
    workers jobs job threads thread processes process procs proc : worker
    distributed dist ddp dp fsdp distribute : distributed
    amp fp16 bf16 fp8 fp32 tf32 mixedprecision float16 bfloat16 float32 : precision
    prefetcher prefetching : prefetch
    accel accelerator accelerate : device
    quant quantization : quantize
    tuning tune : tune
    tb tboard tensorboardx : tensorboard
    datasets dset dsets : dataset
    envs environments environment : env
    tasks : task
    classes nclasses numclasses nclass cls : class
    chin chanin inchannels : in channel
    chout chanout outchannels : out channel
    stopping stopped : stop
    fractions : ratio
    dataloaders : loader
    flips hflip vflip xflip yflip fliplr flipud mirror mirroring : flip
    visualise visualizer viewer viewers preview : viz
    contrast brightness saturation hue colorjitter : jitter
    crops cropping cropped rotations rotating : crop
    prioritized prioritised priority per_alpha : prioritized
    exponents exponent : power
    idx idxs index indices : index
    averaged averaging average avg : average
    balancing balanced bal : balance
    distil distill distillation distilled distilling kd : distill
    adversary adversarial advers : adversarial
    algo algos alg algs algorithms : algorithm
    synchronize synchronized synchronise synchronization syncronize sync : sync
    vote votes voting voted : vote
    retry retries attempts : retry
    syncbn syncbatchnorm : sync norm
    agg aggr aggregator aggregators aggregation : aggregate
    smoothness : smoothing
    nsamples numsamples : num sample
    nsample : num sample
    aa : augment
    ckp ckpoint : checkpoint
    labels labeled labelled : label
    repetition repetitions : repeat
    figs fig figures : figure
    folds kfold kfolds nfold nfolds : fold
    oversampling oversampled : oversample
    scaling scaled scales : scale
    lradj lradjust : lr
    specaug spectaug : augment
    perturbation perturbations perturbed : perturb
    proportion proportions portion : ratio
    densification densified : densify
    physics physx : physic
    precomputed precomputing : precompute
    cameras cam cams : camera
    cols col columns : column
    peft : lora
    occ occurrence occurrences : freq
    implementation implementations : impl
    archs arch architecture architectures : arch
    models : model
    backbones : backbone
    pretrain pretraining : pretrain
    pretrained : pretrained
    finetune finetuning finetuned ft : finetune
    freezing frozen : freeze
    exploration explore exploratory expl : explore
    rew rewards : reward
    returns : return
    disc_factor : discount
    minibatches minibatch : minibatch
    microbatch microbatches microbatchsize : micro batch
    ep : epoch
    batches nbatch nbatches numbatches : batch
    rollouts : rollout
    updates : update
    episodes ep_num eps_num : episode
    frames : frame
    trees : tree
    leaves : leaf
    estimators : estimator
    rounds : round
    samples : sample
    examples : example
    hours hrs hour : hour
    minutes mins minute : minute
    seconds secs : second
    tau polyak : tau
    sigma std stddev stdev sd : std
    kernels ksize ker kern : kernel
    filters : filter
    blocks : block
    heads : head
    groups : group
    residual residuals : residual
    experts expert moe : expert
    bottlenecks : bottleneck
    latents codes : latent
    codebooks : codebook
    betas : beta
    desc des : description
    valset validset devset : val dataset
    testset : test dataset
    trainset : train dataset
    initializer initializers initialiser initialisers : init
    ntrain : n train
    nfeat nfeats : in feature
    opts : option
    fun : fn
    rand : random
    utd : update data
    sn : spectral norm
    noniid : non iid
    imb imbalanced longtail longtailed : imbalance
    dirichlet : dirichlet
    byzantine byzantines attackers : attacker
    ratings : rating
    relations : relation
    symbols : symbol
    passes : pass
    walks : walk
    advs : adversarial
    untied : untie
    invariance : invariant
    equivariance : equivariant
    dims_list : dim list
    gammas : gamma
    milestones : milestone
    wandb : wandb
    dl dataloader loader loaders : loader
    """
)
COUNT = word_set("num n nb number cnt max maximum min minimum total count nr of the all global overall full limit")
# A name that ends so says where something lies or how it is called.
PLACES = word_set(
    "path dir file root url uri csv tsv json jsonl yaml yml txt pkl pickle npz npy h5 hdf5 parquet bin pt prefix "
    "suffix ext extension glob pattern filelist manifest location"
)
IDENTITIES = word_set(
    "name id uid uuid tag note comment description desc title author email user username password key host ip "
    "address port version revision branch entity project org organization account region namespace"
)
# Words that are often written apart: read as one.
_COMPOUNDS = {
    tuple(pair.split()): glued
    for pair, glued in (
        ("pre train", "pretrain"),
        ("pre trained", "pretrained"),
        ("pre training", "pretrain"),
        ("warm up", "warmup"),
        ("data set", "dataset"),
        ("data sets", "dataset"),
        ("data loader", "loader"),
        ("time step", "timestep"),
        ("drop out", "dropout"),
        ("mix up", "mixup"),
        ("cut mix", "cutmix"),
        ("cut out", "cutout"),
        ("tensor board", "tensorboard"),
        ("back bone", "backbone"),
        ("check point", "checkpoint"),
        ("pre compute", "precompute"),
        ("pre computed", "precompute"),
        ("warmup start", "warmstart"),
        ("mini batch", "minibatch"),
        ("roll out", "rollout"),
        ("early stopping", "early stop"),
        ("sub dir", "subdir"),
        ("learning rate", "lr"),
        ("learn rate", "lr"),
        ("fine tuning", "finetune"),
        ("fine tune", "finetune"),
        ("long tail", "imbalance"),
        ("self attention", "attention"),
    )
}
CADENCE = word_set("every freq")
# Looking at training, keeping it, and where it happens: changes nothing that is learnt.
LOOKING = word_set(
    "log save eval val test dev print checkpoint wandb tensorboard mlflow comet neptune clearml swanlab trackio aim "
    "visdom plot visualize visualization visualise vis viz display verbose verbosity quiet silent debug profile "
    "profiler video capture record report dump export download upload push hub monitor snapshot render gui show "
    "summary progress bar pbar track tracking tracker telemetry notify generate inference demo dry dryrun histogram "
    "hist inspect sanity bench benchmark stat statistic timing trace metric watch status tqdm help beam tta fid "
    "submission vote tester figure font dpi measure measurement evaluated predict best overfit anomaly offline snap "
    "tick html check stdout stderr"
)
EVALUATION = word_set("eval val test dev inference demo predict generate heldout holdout")
KEEPING = word_set(
    "resume restore restart continue load reload overwrite pretrained finetune checkpoint snapshot warmstart"
)
# Where and how fast it is computed.
MACHINE = word_set(
    "device worker distributed deepspeed backend nccl gloo mpi horovod master precision dtype compile jit inductor "
    "xla pin prefetch persistent cudnn deterministic determinism offload shard sharding bucket allreduce launcher "
    "sagemaker azure gcs s3 aws loader nvidia apex mmap ram disk tmp remote rendezvous rdzv slurm torchscript fuser "
    "quantize quantized 8bit 4bit tensorcore flash xformer sleep precompute bucketing fused remat recompute server "
    "tpu_name autocast bits dask spark megatron zero sync world tensorrt onnx"
)
# What may be of the machine or of the method: the last word of the name says.
EITHER = word_set(
    "node memory host cache async lazy timeout parallel pipeline port partition storage cluster local bit"
)
BOOKKEEPING = (
    word_set(
        "force clean clear delete exist ok config experiment run job input output out in token auth tokenizer "
        "data dataset corpus split fold subset column field header delimiter sep annotation env game task "
        "scenario level map domain class label relation rating symbol vector model mode phase stage command cmd "
        "do preprocess preprocessing prepare setup install trust dummy unused plugin module package source lang "
        "language locale encoding stdin notebook cv arch backbone network net vocab line answer ignore mismatched "
        "category way shot client iid spt qry prompt list item entry group_name team user action obs observation "
        "hook hookpoint evolve impl format scratch problem side holdout index subdir confirm confirmation yes "
        "interactive debugger retry"
    )
    | EITHER
)
# The world that is learnt about: the physics, the sensors, who speaks, which part of a table. It is given.
WORLD = word_set(
    "gravity friction torque mass fps camera terrain physic sensor robot simulator speaker season column row date year "
    "month quality cash commission leverage ticker latitude longitude malicious attacker opponent difficulty weather "
    "arena near far termination terminate headless"
)
# How much training is spent.
SPENT = word_set(
    "epoch iter step timestep update episode frame batch tree estimator round generation game sample example kimg "
    "token hour minute budget patience interaction transition boost"
)
# A count of steps that is part of the method, not of the budget.
PARTIAL = word_set(
    "warmup decay ramp ppo sac dqn policy critic actor discriminator generator inner outer adapt adaptation "
    "adaption mcmc langevin accumulate accumulation grad anneal annealing milestone lr cooldown freeze unfreeze "
    "burnin burn restart diffusion noise denoise denoising explore random rollout horizon unroll bptt truncated kl "
    "augment mixup cutmix ema swa attack pgd mc skip lag delay hold stable constant flat ode teacher curriculum "
    "mask sinkhorn power q target replay learning pi v start seed prefill explorer vf value opt sgd cg td nstep "
    "lookahead lookback history window sub k refine refinement message passing gnn recurrent think ponder halting "
    "perturb drop tau gumbel beta epsilon eps temperature scheduler schedule cycle mosaic pseudo label consistency "
    "bootstrap gamma momentum wd weight lambda fade transition_phase grow pre_train mem memory buffer "
    "context stack repeat clip multi gap shift dilation stride"
)
# Parts of the method: searching them is what a search is for.
METHOD = word_set(
    "lr wd decay dropout drop momentum nesterov beta eps epsilon gamma tau lambda alpha rho mu nu eta theta delta "
    "kappa zeta temperature warmup cooldown ramp clip smoothing mixup cutmix cutout augment jitter flip crop rotation "
    "rotate affine hsv mosaic erasing reprob recount remode optimizer scheduler schedule activation norm bias init "
    "hidden embed dim layer depth width head channel filter kernel stride dilation padding block expansion growth "
    "widen lora rank adapter bottleneck latent codebook mixture component topk k window context seq ngram margin "
    "negative weight coef penalty reg l1 l2 entropy ent kl gae discount nstep horizon rollout minibatch replay buffer "
    "explore exploration noise std advantage adv double dueling prioritized per teacher forcing tie tied share shared "
    "attention pool pooler pooling residual skip aggregate aggregator aggregation aggr leaf child subsample colsample "
    "bagging bin neighbor loss mask masking mlm freeze unfreeze ema swa sam focal ohem anchor mel fft hop preemphasis "
    "specaugment perturb snr conditioning condition guidance causal glu gate gating bidirectional unidirectional rnn "
    "lstm gru cell conv resample upsample downsample scale rescale ratio prob factor rate multiplier mul mult mix "
    "balance balanced sampler sampling curriculum distill distillation teacher student label_smoothing center whiten "
    "projection proj projector predictor queue moco views view crops patch token_mixer mlp ffn ff qkv heads_kv rope "
    "rotary alibi position positional pos power cosine cos amsgrad centered lookahead trust_ratio ns_step orthogonal "
    "spectral gp wgan ttur relativistic hinge triplet contrastive infonce proto prototype cluster kmeans entropy_reg "
    "commitment commit perceptual lpips style tv content gan adversarial disc_weight actor critic policy value vf q "
    "target polyak reward shaping frame repeat stack intrinsic curiosity her goal relabel imitation bc cql awac iql "
    "expectile quantile atoms v_min v_max huber clipping truncation truncate rect hflip init start end final initial "
    "gain expert capacity sparsity sparse prune pruning regularizer group grow bandwidth bandmask remix shift expand "
    "degree order hops hop fanout neighbours receptive memory_len mem spatial temporal pyramid fpn deep supervision "
    "aux auxiliary bandit uniform gaussian dirichlet threshold thres thresh min_child criterion boosting max_bin "
    "subtract use stem reduction squeeze se cbam non_local transformer encoder decoder cross self multi feature mean "
    "trainable learnable learn learned detach stop cost solver learner cond symmetric bilinear interpolation interp "
    "nearest prior posterior kld elbo anneal annealing cycle cyclic poly polynomial exponential step_size size "
    "resolution patience plateau flatten sigmoid softmax gumbel hard soft relu gelu swish silu leaky slope "
    "negative_slope prelu elu share sharing hybridize len max_len vocab_dropout char word subword bpe pair triplets "
    "instance proposals roi iou overlap average readout importance jk depthwise dynamics forget recurrence lookup "
    "decoupled virtual swap perplexity alignment similarity distance metric_learning hard_mining mining pairwise "
    "listwise sinusoidal adam adamw sgd rmsprop muon lion sophia shampoo adafactor lamb popart smote bootstrap sage "
    "cmvn randomization ensemble oversample undersample milestone crf highway reweight fusion noisy distributional "
    "recurrent tanh individual swiglu geglu dora rslora lars hysteretic rehearsal gnn gcn gat gin jigsaw mixer "
    "booster violation revin invariant equivariant adaptive langevin refine updown hashgrid triplane weighting utd "
    "untie unrolled gumbel deform deformable wavelet fourier antialias antialiased lowpass sobel nucleus moment "
    "velocity vq rvq fsq dct inception densenet recursion stochastic jumping rezero preact postnorm prenorm nce npair "
    "arcface cosface sphereface dice tversky lovasz ssim iwae flow realnvp glow sparsemax entmax maxout curvature "
    "hyperbolic poincare spline chebyshev cheb sgc appnp dropedge walk metapath motif hyperedge hypergraph laplacian "
    "propagation diffpool eligibility popart valuenorm counterfactual lookback consensus meta maml proximal prox "
    "personalization personalized rewind"
)
SIZES = word_set("size len length resolution width height")
RL = word_set(
    "gamma gae discount env envs ppo entropy replay buffer tau policy actor critic epsilon rollout clip_coef vf"
)


@lru_cache(maxsize=8192)
def words(name: str) -> tuple[str, ...]:
    """The words of a name.

    >>> words("weight-decay"), words("numWorkers"), words("optim.adam_beta2")
    (('weight', 'decay'), ('num', 'worker'), ('optimizer', 'adam', 'beta', '2'))
    >>> words("batchsize"), words("n_layers"), words("GRADIENT_ACCUMULATE_EVERY")
    (('batch', 'size'), ('n', 'layer'), ('grad', 'accumulate', 'every'))
    """
    found: list[str] = []
    for raw in re.split(r"[^A-Za-z0-9]+", name[:200]):
        low = raw.lower()
        if low in SPELT_OUT:
            found += SPELT_OUT[low]
            continue
        if low in _KNOWN:
            found.append(low)
            continue
        for part in _PART.findall(_CAMEL.sub(" ", raw)):
            found += _written_out(part.lower())
    return tuple(_glued(found))


def _glued(found: list[str]) -> list[str]:
    at = 0
    while at + 1 < len(found):
        one = _COMPOUNDS.get((found[at], found[at + 1]))
        if one is not None:
            found[at : at + 2] = one.split()
        at += 1
    return found


def _written_out(word: str) -> tuple[str, ...]:
    if word in SPELT_OUT:
        return SPELT_OUT[word]
    if word in _KNOWN or word.isdigit():
        return (word,)
    single = _singular(word)
    if single in SPELT_OUT:
        return SPELT_OUT[single]
    if single in _KNOWN:
        return (single,)
    return _apart(word) or (single,)


def _singular(word: str) -> str:
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is", "as")):
        return word[:-3] + "y" if word.endswith("ies") else word[:-1]
    return word


def _apart(word: str) -> tuple[str, ...]:
    """A glued word as the known words that make it up, () where it is none: `saveoutput`, `nlayers`, `lrdecay`."""
    if not 5 <= len(word) <= 30:
        return ()
    best: dict[int, tuple[str, ...]] = {0: ()}
    for end in range(2, len(word) + 1):
        for start in list(best):
            part = word[start:end]
            short = start == 0 and part in ("n", "no", "lr", "wd", "kl", "bn", "im", "use")
            if short or (len(part) >= 3 and (part in _KNOWN or part in SPELT_OUT)):
                made = (*best[start], part)
                if end not in best or len(made) < len(best[end]):
                    best[end] = made
        if end == 2 and word[0] == "n":
            best.setdefault(1, ("n",))
    found = best.get(len(word), ())
    return tuple(piece for part in found for piece in SPELT_OUT.get(part, (part,)))


_KNOWN: frozenset[str] = frozenset().union(
    COUNT, PLACES, IDENTITIES, CADENCE, LOOKING, EVALUATION, KEEPING, MACHINE, BOOKKEEPING, SPENT, PARTIAL, METHOD, RL,
    WORLD,
    *SPELT_OUT.values(),
)  # fmt: skip
