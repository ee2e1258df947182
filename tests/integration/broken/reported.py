"""Ends of logs in wordings that people reported of public projects, which nobody here chose: names, paths and numbers
are others. Held out as well: the key was written before the diagnosis saw them.
"""
# ruff: noqa: E501, W291 — messages stand as frameworks write them

from __future__ import annotations

from . import Case


def told(name: str, cause: str, proof: str, text: str, code: int = 1) -> Case:
    """A script that logs this text and exits with this code."""
    script = f"import sys\nsys.stderr.write({text!r})\nsys.exit({code})\n"
    return Case(name, cause, proof, script)


REPORTED = [
    told(
        "detectron",
        "not_finite",
        "Loss became infinite or NaN",
        """[11/15 02:06:37 d2.engine.train_loop]: Starting training from iteration 0
[11/15 02:06:51 d2.utils.events]:  eta: 4:58:26  iter: 159  total_loss: 1.619  loss_cls: 1.110  time: 0.1999  lr: 0.006593
Traceback (most recent call last):
  File "train_net.py", line 303, in <module>
    args=(args,),
  File "/opt/conda/lib/python3.9/site-packages/detectron2/engine/train_loop.py", line 339, in write_metrics
    f"Loss became infinite or NaN at iteration={storage.iter}!\\n"
FloatingPointError: Loss became infinite or NaN at iteration=166!
loss_dict = {'loss_cls_ce': nan, 'loss_box_reg': nan, 'loss_ins_con': 0.0}
""",
    ),
    told(
        "apex-scaler-to-zero",
        "not_finite",
        "nan",
        """Gradient overflow.  Skipping step, loss scaler 0 reducing loss scale to 2.6e-51
2020-05-10 08:34:41,021 maskrcnn INFO: eta: 1 day, 19:57:40  iter: 200  loss: nan (nan)  loss_classifier: nan (nan)  lr: 0.023000
Gradient overflow.  Skipping step, loss scaler 0 reducing loss scale to 5e-324
Gradient overflow.  Skipping step, loss scaler 0 reducing loss scale to 0.0
Traceback (most recent call last):
  File "tools/pretrain_net.py", line 317, in <module>
    main()
  File "/opt/conda/lib/python3.7/site-packages/apex/amp/handle.py", line 123, in scale_loss
    optimizer._post_amp_backward(loss_scaler)
  File "/opt/conda/lib/python3.7/site-packages/apex/amp/_process_optimizer.py", line 249, in post_backward_no_master_weights
    post_backward_models_are_masters(scaler, params, stashed_grads)
ZeroDivisionError: float division by zero
""",
    ),
    told(
        "safetensors-full",
        "disk_full",
        "StorageFull",
        """{'loss': 1.7311, 'learning_rate': 4.1e-05, 'epoch': 2.4}
Traceback (most recent call last):
  File "/opt/env/bin/llamafactory-cli", line 8, in <module>
    sys.exit(main())
  File "/opt/env/lib/python3.10/site-packages/safetensors/torch.py", line 284, in save_file
    serialize_file(_flatten(tensors), filename, metadata=metadata)
safetensors_rust.SafetensorError: Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })
""",
    ),
    told(
        "killed-in-docker",
        "killed",
        "Killed",
        """2021-11-06 09:53:33,805 - mmdet - INFO - Epoch [1][50/29317]\tlr: 1.978e-03, eta: 3 days, 10:34:55, memory: 6497, loss: 1.3793
2021-11-06 09:54:12,564 - mmdet - INFO - Epoch [1][100/29317]\tlr: 3.976e-03, eta: 3 days, 7:09:35, memory: 6497, loss: 1.0211
Killed
""",
        137,
    ),
    told(
        "worker-gone-on-rank-0",
        "data_worker",
        "exited unexpectedly",
        """[rank0]: Traceback (most recent call last):
[rank0]:   File "/data/opensora/scripts/train.py", line 411, in <module>
[rank0]:     main()
[rank0]:   File "/opt/conda/lib/python3.11/site-packages/torch/utils/data/dataloader.py", line 1144, in _try_get_data
[rank0]:     raise RuntimeError(f'DataLoader worker (pid(s) {pids_str}) exited unexpectedly') from e
[rank0]: RuntimeError: DataLoader worker (pid(s) 8864) exited unexpectedly
[rank0]:[W617 03:17:50.058147529 ProcessGroupNCCL.cpp:1168] Warning: WARNING: process group has NOT been destroyed before we destruct ProcessGroupNCCL.
W0617 03:17:51.687000 140319081027392 torch/distributed/elastic/multiprocessing/api.py:858] Sending process 44 closing signal SIGTERM
Traceback (most recent call last):
  File "/opt/conda/bin/torchrun", line 8, in <module>
    sys.exit(main())
  File "/opt/conda/lib/python3.11/site-packages/torch/distributed/launcher/api.py", line 264, in launch_agent
    raise ChildFailedError(
torch.distributed.elastic.multiprocessing.errors.ChildFailedError: 
============================================================
scripts/train.py FAILED
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2024-06-17_03:17:51
  rank      : 0 (local_rank: 0)
  exitcode  : 1 (pid: 43)
  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html
============================================================
""",
    ),
    told(
        "omegaconf-mandatory",
        "config",
        "Missing mandatory value: data_dir",
        """Error executing job with overrides: ['task=mt80', 'model_size=48', 'batch_size=1024']
Traceback (most recent call last):
  File "/data/rl/tdmpc2/train.py", line 56, in train
    trainer.train()
  File "/data/rl/tdmpc2/trainer/offline_trainer.py", line 47, in train
    assert self.cfg.task in self.cfg.data_dir, \\
omegaconf.errors.MissingMandatoryValue: Missing mandatory value: data_dir
    full_key: data_dir
    object_type=dict

Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.
""",
    ),
    told(
        "four-channels",
        "shape",
        "to have 3 channels",
        """[rank0]: Traceback (most recent call last):
[rank0]:   File "/data/x-flux/src/flux/modules/autoencoder.py", line 161, in forward
[rank0]:     hs = [self.conv_in(x)]
[rank0]:   File "/usr/local/lib/python3.10/dist-packages/torch/nn/modules/conv.py", line 454, in _conv_forward
[rank0]:     return F.conv2d(input, weight, bias, self.stride,
[rank0]: RuntimeError: Given groups=1, weight of size [128, 3, 3, 3], expected input[1, 4, 512, 512] to have 3 channels, but got 4 channels instead
""",
    ),
    told(
        "keras-graph",
        "shape",
        "Incompatible shapes: [64,59,93]",
        """Epoch 1/20
Traceback (most recent call last):
  File "fit.py", line 88, in <module>
    model.fit(x, y, batch_size=64)
  File "/opt/env/lib/python3.6/site-packages/keras/engine/training.py", line 1600, in fit
    validation_steps=validation_steps)
tensorflow.python.framework.errors_impl.InvalidArgumentError: Incompatible shapes: [64,59,93] vs. [1,93,1]
\t [[Node: training/RMSprop/gradients/dense_1/add_grad/BroadcastGradientArgs]]
""",
    ),
    told(
        "catboost-800",
        "device",
        "CUDA error 800",
        """0:\tlearn: 0.9981\ttotal: 31ms\tremaining: 1m
Traceback (most recent call last):
  File "tune.py", line 40, in objective
    model.fit(X, y)
  File "/opt/env/lib/python3.12/site-packages/catboost/core.py", line 5873, in fit
    return self._fit(X, y, cat_features)
_catboost.CatBoostError: catboost/cuda/cuda_lib/cuda_base.h:281: CUDA error 800: operation not permitted
""",
    ),
    told(
        "rich-box",
        "gpu_memory",
        "CUDA out of memory",
        """╭─────────────────────────────── Traceback (most recent call last) ────────────────────────────────╮
│ /opt/sd-scripts/train_network.py:990 in <module>                                                 │
│                                                                                                  │
│   987 │   args = train_util.read_config_from_file(args, parser)                                  │
│ ❱ 990 │   trainer.train(args)                                                                    │
╰──────────────────────────────────────────────────────────────────────────────────────────────────╯
OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 11.99 GiB total capacity; 11.10 GiB already allocated; 0 bytes free)
""",
    ),
    told(
        "hf-argument",
        "usage",
        "not used by the HfArgumentParser",
        """Traceback (most recent call last):
  File "/data/alpaca/train.py", line 222, in <module>
    train()
  File "/opt/env/lib/python3.10/site-packages/transformers/hf_argparser.py", line 347, in parse_args_into_dataclasses
    raise ValueError(f"Some specified arguments are not used by the HfArgumentParser: {remaining_args}")
ValueError: Some specified arguments are not used by the HfArgumentParser: ['--save_safetensors_now']
""",
    ),
    told(
        "sigkill-below-accelerate",
        "killed",
        "SIGKILL",
        """save trained model as StableDiffusion checkpoint to output/sks.safetensors
Traceback (most recent call last):
  File "/usr/local/bin/accelerate", line 8, in <module>
    sys.exit(main())
  File "/usr/local/lib/python3.8/dist-packages/accelerate/commands/launch.py", line 567, in simple_launcher
    raise subprocess.CalledProcessError(returncode=process.returncode, cmd=cmd)
subprocess.CalledProcessError: Command '['/usr/bin/python3', 'train_db.py']' died with <Signals.SIGKILL: 9>.
""",
    ),
    told(
        "watchdog-terminates",
        "collective",
        "Watchdog caught collective operation timeout",
        """[E ProcessGroupNCCL.cpp:325] Some NCCL operations have failed or timed out. Due to the asynchronous nature of CUDA kernels, subsequent GPU operations might run on corrupted data.
terminate called after throwing an instance of 'std::runtime_error'
  what():  [Rank 1] Watchdog caught collective operation timeout: WorkNCCL(OpType=BROADCAST, Timeout(ms)=1800000) ran for 1802691 milliseconds before timing out.
""",
        134,
    ),
    told(
        "hydra-no-such-group",
        "config",
        "Could not find 'data/'",
        """Traceback (most recent call last):
  File "/data/usfm/train.py", line 92, in <module>
    main()
  File "/opt/env/lib/python3.12/site-packages/hydra/_internal/utils.py", line 394, in _run_hydra
    _run_app(
hydra.errors.MissingConfigException: In 'train.yaml': Could not find 'data/'

Available options in 'data':
\tseg
""",
    ),
    told(
        "deepspeed-scale",
        "not_finite",
        "loss scale",
        """[2024-07-10 15:50:45,798] [INFO] [loss_scaler.py:183:update_scale] [deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 2, reducing to 1
Traceback (most recent call last):
  File "/data/hallo/scripts/train_stage2.py", line 700, in <module>
    train_stage2_process(config)
  File "/opt/env/lib/python3.10/site-packages/deepspeed/runtime/fp16/loss_scaler.py", line 175, in update_scale
    raise Exception("Current loss scale already at minimum - cannot decrease scale anymore. Exiting run.")
Exception: Current loss scale already at minimum - cannot decrease scale anymore. Exiting run.
""",
    ),
]

# Gathered after the patterns had been tuned on the ones above.
LATER = [
    told(
        "nothing-to-choose-from",
        "empty_data",
        "'a' cannot be empty",
        """Traceback (most recent call last):
  File "run.py", line 81, in <module>
    train(config, generator, discriminator, dataset)
  File "/opt/env/lib/python3.7/site-packages/torch/_utils.py", line 428, in reraise
    raise self.exc_type(msg)
ValueError: Caught ValueError in DataLoader worker process 0.
Original Traceback (most recent call last):
  File "/opt/env/lib/python3.7/site-packages/torch/utils/data/_utils/fetch.py", line 44, in <listcomp>
    data = [self.dataset[idx] for idx in possibly_batched_index]
  File "/data/fomm/frames_dataset.py", line 112, in __getitem__
    path = np.random.choice(glob.glob(os.path.join(self.root_dir, name + '*.mp4')))
  File "mtrand.pyx", line 908, in numpy.random.mtrand.RandomState.choice
ValueError: 'a' cannot be empty unless no samples are taken
""",
    ),
    told(
        "no-train-split",
        "code",
        "list index out of range",
        """Traceback (most recent call last):
  File "/data/gr/main.py", line 60, in main
    train_ds = train_datasets[0]
IndexError: list index out of range
""",
    ),
    told(
        "colon-in-a-name",
        "code",
        "Errno 22",
        """Traceback (most recent call last):
  File "train.py", line 402, in <module>
    main()
  File "train.py", line 96, in main
    args.save_path.makedirs_p()
OSError: [Errno 22] Invalid argument: Path('checkpoints/result,epoch_size3000,m0.2/09-03-23:35')
""",
    ),
    told(
        "zero-dim",
        "code",
        "0-dim tensor",
        """Epoch: [0][0/391]\tTime 2.114 (2.114)\tData 0.312 (0.312)
Traceback (most recent call last):
  File "train.py", line 310, in <module>
    main()
  File "train.py", line 193, in train
    losses.update(loss.data[0], input.size(0))
IndexError: invalid index of a 0-dim tensor. Use tensor.item() to convert a 0-dim tensor to a Python number
""",
    ),
    told(
        "pin-memory",
        "data_worker",
        "Pin memory thread exited",
        """│ ❱ 580 │   │   self._run(model, ckpt_path=ckpt_path)                     │
╰──────────────────────────────────────────────────────────────────────────────╯
RuntimeError: Pin memory thread exited unexpectedly
""",
    ),
    told(
        "tensor-a-and-b",
        "shape",
        "must match the size of tensor b",
        """╭─────────────────────────────── Traceback (most recent call last) ────────────────────────────────╮
│ /opt/env/lib/python3.10/site-packages/lightning/pytorch/loops/fit_loop.py:202 in run             │
│                                                                                                  │
│ ❱ 1035 │   │   │   │   self.fit_loop.run()                                                       │
╰──────────────────────────────────────────────────────────────────────────────────────────────────╯
RuntimeError: The size of tensor a (4096) must match the size of tensor b (0) at non-singleton dimension 1
""",
    ),
    told(
        "tune-and-slurm",
        "memory",
        "oom-kill event(s)",
        """Traceback (most recent call last):
  File "rollout.py", line 30, in <module>
    run_experiments(experiments)
  File "/opt/env/lib/python3.6/site-packages/ray/tune/tune.py", line 272, in run
    raise TuneError("Trials did not complete", errored_trials)
ray.tune.error.TuneError: ('Trials did not complete', [seed:5591])
slurmstepd: error: Detected 8 oom-kill event(s) in step 59137890.batch cgroup. Some of your processes may have been killed by the cgroup out-of-memory handler.
""",
    ),
    told(
        "ray-actor",
        "killed",
        "actor died unexpectedly",
        """2025-06-19 10:35:10,319 ERROR tune_controller.py:1331 -- Trial task failed for trial XGBoostTrainer_e82c1_00000
Traceback (most recent call last):
  File "/opt/env/lib/python3.10/site-packages/ray/_private/worker.py", line 931, in get_objects
    raise value
ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.
\tclass_name: with_parameters.<locals>._Inner
\tpid: 27215
The actor is dead because its worker process has died.
""",
    ),
    told(
        "pyro-in-a-notebook",
        "not_finite",
        "invalid values",
        """---------------------------------------------------------------------------
ValueError                                Traceback (most recent call last)
Input In [22], in <cell line: 1>()
----> 1 mod.train()

File /opt/env/lib/python3.9/site-packages/torch/distributions/distribution.py:55, in Distribution.__init__(self, batch_shape)
     53 if not valid.all():
---> 55     raise ValueError(

ValueError: Expected parameter loc (Tensor of shape (128, 10)) of distribution Normal(loc: torch.Size([128, 10])) to satisfy the constraint Real(), but found invalid values:
tensor([[nan, nan, nan],
        [nan, nan, nan]], device='cuda:0')
""",
    ),
    told(
        "raylet",
        "killed",
        "worker died or was killed",
        """(pid=40210)   File "<frozen importlib._bootstrap>", line 1007 in _find_and_load
(raylet) A worker died or was killed while executing a task by an unexpected system error. To troubleshoot the problem, check the logs for the dead worker.
""",
    ),
]
