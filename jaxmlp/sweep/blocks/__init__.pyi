from .block_training import train_trial as train_trial
